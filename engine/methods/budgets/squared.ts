import type { TableObjective } from './objective';

/**
 * Squared damage: loss_l[k] = D_l[k]^2 with D_l[k] = ||Y_k - Y_k0||_F / sqrt(tokens). Errors that different layers add to the
 * residual stream are nearly independent, so their squares add and their norms do not; the square is also convex where the norm
 * is not (near k0).
 */
export const squared: TableObjective = {
  kind: 'table',
  name: 'squared',
  title: 'Squared damage',
  source: 'LExI table (arXiv 2509.02753), squared',
  needs: 'profile',
  input: 'gaussian',
  lossRows: (profile) =>
    profile.layers.map(({ index, raw }) => ({ layer: index, loss: raw.map((damage) => damage * damage) })),
};
