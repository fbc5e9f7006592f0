import type { BudgetTable } from './lossTable';

/** How far a table may be wrong, as shares of its own numbers (standard deviations of the prior). */
export interface MarginalModelSettings {
  /** One factor for the whole table: damage grows when many layers are cut at once. */
  readonly tableSpread: number;
  /** One factor per layer. */
  readonly layerSpread: number;
  /** Every number on its own. */
  readonly entrySpread: number;
  /** Every number, as a share of the mean magnitude in the table: numbers near zero may be wrong too. */
  readonly floorSpread: number;
  /** What addition over layers cannot explain, as a share of the size of a move. */
  readonly interaction: number;
}

/**
 * Chosen on a trained 12-layer model (KL to the full model at six totals): with these the search found the best allocation that any
 * variant found, after 3 to 30 measurements, and stopped after 17 to 67; twice as wide ones took a third more.
 */
export const defaultMarginalModelSettings: MarginalModelSettings = {
  tableSpread: 0.3,
  layerSpread: 0.2,
  entrySpread: 0.15,
  floorSpread: 0.05,
  interaction: 0.1,
};

/** A prediction of how the loss changes between two allocations. */
export interface PredictedChange {
  /** Expected loss of the second allocation minus that of the first. */
  readonly mean: number;
  /** Standard deviation of that expectation. */
  readonly deviation: number;
}

/**
 * What we believe the j-th expert of every layer is worth, learned from measured allocations.
 *
 * The unknowns are the marginals m_{l,j} = T_l[j] - T_l[j+1], the loss avoided by going from j to j+1 experts in layer l. Prior:
 * Gaussian around the marginals of the given table with covariance
 *
 *     S_{ab} = (tableSpread^2 + [same layer] layerSpread^2) m_a m_b + [a = b] ((entrySpread m_a)^2 + (floorSpread mean|m|)^2).
 *
 * A measured difference between two allocations is the sum of the marginals between them plus interaction noise; conditioning on
 * it is one rank-one (Kalman) update of mean and covariance:
 *
 *     g = S h / (h^T S h + R),   m += g (measured - h^T m),   S -= g (S h)^T.
 *
 * That is Bayesian linear regression (Bishop, "Pattern Recognition and Machine Learning", 2006, section 3.3) with shared factors,
 * so that one measurement in a layer corrects what is believed about the whole layer and, a little, about all others.
 */
export class MarginalModel {
  private readonly offsets: number[] = [];
  private readonly minimum: readonly number[];
  private readonly mean: Float64Array;
  private readonly prior: Float64Array;
  private readonly covariance: Float64Array;

  constructor(
    private readonly table: BudgetTable,
    private readonly settings: MarginalModelSettings = defaultMarginalModelSettings,
  ) {
    this.minimum = table.layers.map(({ minimum }) => minimum);
    let count = 0;
    for (const { minimum, maximum } of table.layers) {
      this.offsets.push(count);
      count += maximum - minimum;
    }
    this.prior = new Float64Array(count);
    const owner = new Uint16Array(count);
    table.layers.forEach(({ loss, minimum, maximum }, layer) => {
      for (let k = minimum; k < maximum; k++) {
        const at = this.offsets[layer]! + k - minimum;
        this.prior[at] = loss[k - 1]! - loss[k]!;
        owner[at] = layer;
      }
    });
    this.mean = this.prior.slice();
    this.covariance = priorCovariance(this.prior, owner, settings);
  }

  /** How the loss is expected to change from one allocation to another. */
  predict(from: readonly number[], to: readonly number[]): PredictedChange {
    const { at, sign } = this.between(from, to);
    let mean = 0;
    let variance = 0;
    for (let a = 0; a < at.length; a++) {
      mean += sign[a]! * this.mean[at[a]!]!;
      const row = at[a]! * this.mean.length;
      for (let b = 0; b < at.length; b++) {
        variance += sign[a]! * sign[b]! * this.covariance[row + at[b]!]!;
      }
    }
    return { mean, deviation: Math.sqrt(Math.max(0, variance)) };
  }

  /** Learns that the loss changed by `change` from one allocation to another. */
  observe(from: readonly number[], to: readonly number[], change: number): void {
    const { at, sign } = this.between(from, to);
    const count = this.mean.length;
    const product = new Float64Array(count);
    for (let a = 0; a < at.length; a++) {
      const row = at[a]! * count;
      for (let b = 0; b < count; b++) {
        product[b]! += sign[a]! * this.covariance[row + b]!;
      }
    }
    let expected = 0;
    let variance = 0;
    let noise = 0;
    for (let a = 0; a < at.length; a++) {
      expected += sign[a]! * this.mean[at[a]!]!;
      variance += sign[a]! * product[at[a]!]!;
      noise += (this.settings.interaction * this.mean[at[a]!]!) ** 2;
    }
    const scale = variance + noise;
    if (!(scale > 0)) {
      return;
    }
    const surprise = (change - expected) / scale;
    for (let a = 0; a < count; a++) {
      const gain = product[a]!;
      this.mean[a]! += gain * surprise;
      for (let b = 0; b < count; b++) {
        this.covariance[a * count + b]! -= (gain * product[b]!) / scale;
      }
    }
  }

  /** The given table with the losses believed now; each row keeps its value at the maximum of its layer. */
  adaptedTable(): BudgetTable {
    return {
      layers: this.table.layers.map((layer, position) => {
        const loss = [...layer.loss];
        for (let k = layer.maximum - 1; k >= layer.minimum; k--) {
          loss[k - 1] = loss[k]! + this.mean[this.offsets[position]! + k - layer.minimum]!;
        }
        return { ...layer, loss };
      }),
    };
  }

  /** The marginals that separate two allocations: +1 where experts are taken away, -1 where they are added. */
  private between(from: readonly number[], to: readonly number[]): { at: number[]; sign: number[] } {
    const at: number[] = [];
    const sign: number[] = [];
    for (let layer = 0; layer < from.length; layer++) {
      const low = Math.min(from[layer]!, to[layer]!);
      const high = Math.max(from[layer]!, to[layer]!);
      for (let k = low; k < high; k++) {
        at.push(this.offsets[layer]! + k - this.minimum[layer]!);
        sign.push(to[layer]! < from[layer]! ? 1 : -1);
      }
    }
    return { at, sign };
  }
}

function priorCovariance(marginals: Float64Array, owner: Uint16Array, settings: MarginalModelSettings): Float64Array {
  const count = marginals.length;
  const meanSize = marginals.reduce((sum, value) => sum + Math.abs(value), 0) / Math.max(1, count);
  const floor = (settings.floorSpread * meanSize) ** 2;
  const covariance = new Float64Array(count * count);
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < count; b++) {
      const shared = settings.tableSpread ** 2 + (owner[a] === owner[b] ? settings.layerSpread ** 2 : 0);
      covariance[a * count + b] = shared * marginals[a]! * marginals[b]!;
    }
    covariance[a * count + a]! += (settings.entrySpread * marginals[a]!) ** 2 + floor;
  }
  return covariance;
}
