import type { TableObjective } from './objective';

/**
 * LExI as published (arXiv 2509.02753, Algorithm 1): D_l[k] = mean over batches of ||Y_k - Y_k0||_F with Gaussian input, un-squared
 * and in the units of each layer's output. We divide by sqrt(tokens), the same factor for every layer, so that the table does
 * not grow with the sample; allocations are unaffected.
 */
export const lexi: TableObjective = {
  kind: 'table',
  name: 'lexi',
  title: 'LExI, as published',
  source: 'arXiv 2509.02753',
  needs: 'profile',
  input: 'gaussian',
  lossRows: (profile) => profile.layers.map(({ index, raw }) => ({ layer: index, loss: raw })),
};
