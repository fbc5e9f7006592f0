import type { TableObjective } from './objective';

/**
 * Relative squared damage: loss_l[k] = ||Y_k - Y_k0||_F^2 / ||Y_k0||_F^2. The share of a layer's own output that is lost, so
 * layers with large outputs do not take the whole budget.
 */
export const relativeSquared: TableObjective = {
  kind: 'table',
  name: 'relative-squared',
  title: 'Relative squared damage',
  source: 'LExI table (arXiv 2509.02753), squared and divided by the output norm',
  needs: 'profile',
  input: 'gaussian',
  lossRows: (profile) => profile.layers.map(({ index, relativeSquared: loss }) => ({ layer: index, loss })),
};
