import { relativeToFull, type MeasuredObjective } from './endToEnd';

/**
 * Alloc-L of Alloc-MoE (arXiv 2604.08133): S_l[k] is measured on calibration text with layers before l as trained, layer l at k and
 * **all later layers at one expert**, because later layers at full strength repair, and so hide, the damage. The paper uses
 * perplexity; its rows have different baselines (the earlier the layer, the more layers sit at one expert), which inflates the
 * early rows, so we take differences of log-perplexity: loss_l[k] = log S_l[k] - log S_l[k0].
 */
export const allocL: MeasuredObjective = {
  kind: 'measured',
  name: 'alloc-l',
  title: 'Alloc-L of Alloc-MoE',
  source: 'arXiv 2604.08133',
  laterLayers: 'one',
  measures: 'log-perplexity',
  lossRows: relativeToFull,
};
