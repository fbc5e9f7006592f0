import type { TableObjective } from './objective';

/**
 * Relative squared damage under Gaussian input times the weight of the layer's RMS norm: a MoE block never sees N(0, 1), it sees
 * gamma * (a vector of unit root mean square), and gamma differs by an order of magnitude between channels and layers. Still
 * data-free. loss_l[k] = ||Y_k - Y_k0||_F^2 / ||Y_k0||_F^2 with X = gamma_l * Z, Z ~ N(0, 1).
 */
export const gamma: TableObjective = {
  kind: 'table',
  name: 'gamma',
  title: 'Relative squared damage, norm-weighted input',
  source: 'LExI table (arXiv 2509.02753) with the input scaled by the RMS-norm weight',
  needs: 'profile',
  input: 'gamma',
  lossRows: (profile) => profile.layers.map(({ index, relativeSquared: loss }) => ({ layer: index, loss })),
};
