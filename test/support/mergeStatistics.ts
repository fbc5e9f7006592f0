import { SeededRandom } from '../../engine/numeric/seededRandom';
import { expertSumNames, type ExpertSums, type LayerStatistics } from '../../engine/methods/statistics';

/** Random statistics of one layer that merging methods read, consistent in their symmetries. */
export function randomLayer(seed: number, experts = 8, hiddenSize = 6): LayerStatistics {
  const random = new SeededRandom(seed);
  const vector = (length: number) => Float64Array.from({ length }, () => 1 + Math.floor(random.uniform() * 1000));
  const rows = (width: number) => Float32Array.from({ length: experts * width }, () => random.uniform() * 2 - 1);
  const total = { tokens: 1000, ...Object.fromEntries(expertSumNames.map((name) => [name, vector(experts)])) };
  const outputs = rows(hiddenSize);
  return {
    index: 3,
    experts,
    activeExperts: 2,
    hiddenSize,
    total: total as unknown as ExpertSums,
    byTag: [],
    largestOutputs: vector(experts),
    outputSums: rows(hiddenSize),
    coactivation: productsOf(rows(5), experts, 5),
    contributionProducts: productsOf(rows(5), experts, 5),
    contributionGram: productsOf(rows(5), experts, 5),
    logitProducts: productsOf(rows(5), experts, 5),
    probabilityProducts: productsOf(rows(5), experts, 5),
    topMasses: vector(2),
    outputSquares: 1,
    sample: { inputs: new Float32Array(0), tokens: 0, tags: new Uint16Array(0) },
    dense: {
      tokens: 100,
      meanOutputs: outputs,
      gram: productsOf(outputs, experts, hiddenSize),
      cosines: normalised(productsOf(outputs, experts, hiddenSize), experts),
    },
  };
}

/** The layer with its experts in another order: expert `at` of the result is `order[at]` of the given one. */
export function reordered(layer: LayerStatistics, order: readonly number[]): LayerStatistics {
  const { experts } = layer;
  const pairs = (values: Float64Array) =>
    Float64Array.from(values, (_, at) => values[order[Math.floor(at / experts)]! * experts + order[at % experts]!]!);
  const vector = (values: Float64Array) => Float64Array.from(order, (from) => values[from]!);
  const rows = (values: Float32Array) =>
    Float32Array.from(values, (_, at) => {
      const width = values.length / experts;
      return values[order[Math.floor(at / width)]! * width + (at % width)]!;
    });
  const sums = Object.fromEntries(expertSumNames.map((name) => [name, vector(layer.total[name])]));
  return {
    ...layer,
    total: { ...layer.total, ...sums },
    largestOutputs: vector(layer.largestOutputs),
    logitProducts: pairs(layer.logitProducts),
    probabilityProducts: pairs(layer.probabilityProducts),
    dense: {
      ...layer.dense!,
      meanOutputs: rows(layer.dense!.meanOutputs),
      gram: pairs(layer.dense!.gram),
      cosines: pairs(layer.dense!.cosines),
    },
  };
}

function productsOf(rows: Float32Array, size: number, width: number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, at) => {
    let sum = 0;
    for (let column = 0; column < width; column += 1) {
      sum += rows[Math.floor(at / size) * width + column]! * rows[(at % size) * width + column]!;
    }
    return sum;
  });
}

function normalised(products: Float64Array, size: number): Float64Array {
  return products.map(
    (value, at) =>
      value / Math.sqrt(products[Math.floor(at / size) * (size + 1)]! * products[(at % size) * (size + 1)]!),
  );
}
