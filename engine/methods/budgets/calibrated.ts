import type { TableObjective } from './objective';

/**
 * Relative squared damage on the inputs the layer really gets from calibration text:
 * loss_l[k] = ||Y_k - Y_k0||_F^2 / ||Y_k0||_F^2 with X the cached inputs of block l. Real inputs route unevenly and have a few
 * dominant channels, which Gaussian probes do not.
 */
export const calibrated: TableObjective = {
  kind: 'table',
  name: 'calibrated',
  title: 'Relative squared damage, calibration inputs',
  source: 'LExI table (arXiv 2509.02753) on cached activations',
  needs: 'profile',
  input: 'calibration',
  lossRows: (profile) => profile.layers.map(({ index, relativeSquared: loss }) => ({ layer: index, loss })),
};
