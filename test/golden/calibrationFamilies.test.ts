import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { routerCandidates } from '../../engine/graph/calibrationGraph';
import { runCalibration } from '../../engine/measure/calibration/calibrationPass';
import { quietJob } from '../../engine/measure/jobContext';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import type { ExpertSums, LayerStatistics, PairSums } from '../../engine/methods/statistics';
import { sampleTokens } from '../../engine/measure/calibration/tokenSample';
import { openResolved, testRuntime } from '../support/engineRun';
import { observeSequence, probabilitiesOf, type TokenObservation } from '../support/reference/calibrationOracle';
import { applyGatedNetwork } from '../support/reference/experts';
import { applyLinear, scaled, sigmoid } from '../support/reference/linear';
import type { MoeBlock } from '../support/reference/moeBlock';
import { referenceModel } from '../support/reference/referenceForward';
import { tinyTokens } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/** One checkpoint for every kind of router, and for blocks with parts beside the routed experts. */
const names = [
  'mixtral',
  'olmoe-clipped',
  'flex_olmo',
  'qwen2_moe-sliding-window',
  'deepseek_v2-group-limited',
  'deepseek_v3-yarn',
  'phimoe-longrope-bias',
  'granitemoeshared',
  'gpt_oss-mxfp4',
  'llama4_text-chunked',
  'ernie4_5_moe-bias-interval',
  'dbrx-unclipped-norm-2',
  'lfm2_moe',
];

/** The engine computes in float32 what the oracle computes in double. */
const tolerance = 2e-4;

const scratch = mkdtempSync(path.join(tmpdir(), 'calibration-families-'));

/** Where the refill of some token is nearer to a tie than this, the sums it enters are not compared. */
const smallestMargin = 2e-5;

/** Sequences of different lengths, so that one of them is padded in its batch. */
const texts = [
  { ids: tinyTokens[0]!, tag: 1 },
  { ids: tinyTokens[1]!.slice(0, 31), tag: 0 },
];
const tags = ['first', 'second'];
const [sampled, seed] = [20, 3];

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

describe.each(names)('%s', (name) => {
  test('statistics are those of the slow oracle', async () => {
    const checkpoint = tinyCheckpoints.find((each) => each.name === name)!;
    const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, name));
    const resolved = await openResolved(folder);
    const sequences = texts.map(({ ids, tag }) => ({ ids: Int32Array.from(ids), tag }));
    const { layers } = await runCalibration({
      model: resolved.decoder(),
      activeExperts: resolved.blocks.map(({ activeExperts }) => activeExperts),
      machine: testRuntime,
      sequences,
      batches: batchSequences(
        sequences.map(({ ids }) => ids),
        4,
      ),
      tags,
      sample: sampled,
      dense: true,
      taskPairs: true,
      trace: true,
      seed,
      job: quietJob(),
    });

    const reference = referenceModel(folder, tinyTokens[0]!.length);
    const blocks = new Map(resolved.blocks.map((block) => [block.layer, block]));
    const observed = texts.map(({ ids }) =>
      observeSequence(reference, ids, (layer) => {
        const block = blocks.get(layer)!;
        return {
          activeExperts: block.activeExperts,
          candidates: routerCandidates(block),
          reroutes: block.router.sparseMixer !== undefined,
          score: block.router.score,
          gates: block.router.gates,
          scale: block.router.scale,
        };
      }),
    );
    expect(layers.map(({ statistics }) => statistics.index)).toEqual(resolved.blocks.map(({ layer }) => layer));
    for (const { statistics, trace } of layers) {
      const score = blocks.get(statistics.index)!.router.score === 'sigmoid' ? 'sigmoid' : 'softmax';
      const tokens = observed.map((each) => each.get(statistics.index)!);
      texts.forEach(({ tag }, at) => {
        expectSums(statistics.byTag[tag]!, tokens[at]!, score);
      });
      expectSums(statistics.total, tokens.flat(), score);
      expectPairs(statistics, tokens.flat(), score);
      texts.forEach(({ tag }, at) => {
        expectTaskPairs(statistics.pairsByTag![tag]!, tokens[at]!, statistics.experts);
      });
      const feedForward = reference.layers[statistics.index]!.feedForward;
      expectSample(statistics, tokens.flat(), feedForward as MoeBlock);
      expect([...trace!.experts]).toEqual(tokens.flat().flatMap(({ chosen }) => chosen.map(({ expert }) => expert)));
    }
  });
});

/** Every vector of sums, added up again from single tokens. */
function expectSums(sums: ExpertSums, tokens: readonly TokenObservation[], score: 'softmax' | 'sigmoid'): void {
  const experts = sums.counts.length;
  const expected: Record<keyof Omit<ExpertSums, 'tokens'>, number[]> = {
    counts: zeros(experts),
    gates: zeros(experts),
    gateSquares: zeros(experts),
    outputNorms: zeros(experts),
    outputNormSquares: zeros(experts),
    contributionNorms: zeros(experts),
    contributionNormSquares: zeros(experts),
    replacementSquares: zeros(experts),
    removalSquares: zeros(experts),
    shiftedContributionNorms: zeros(experts),
    topCounts: zeros(experts),
    topLogits: zeros(experts),
    topMargins: zeros(experts),
    chosenLogits: zeros(experts),
    chosenMargins: zeros(experts),
    probabilities: zeros(experts),
  };
  for (const { logits, chosen, before, after } of tokens) {
    const top = logits.indexOf(Math.max(...logits));
    const mean = logits.reduce((sum, value) => sum + value, 0) / experts;
    const shift = Math.max(0, 1 - dot(before, after) / (norm(before) * norm(after)));
    expected.topCounts[top]! += 1;
    expected.topLogits[top]! += logits[top]!;
    expected.topMargins[top]! += logits[top]! - mean;
    probabilitiesOf(logits, score).forEach((value, expert) => (expected.probabilities[expert]! += value));
    for (const { expert, gate, output, contribution, replacement, removal } of chosen) {
      expected.counts[expert]! += 1;
      expected.gates[expert]! += gate;
      expected.gateSquares[expert]! += gate ** 2;
      expected.outputNorms[expert]! += norm(output);
      expected.outputNormSquares[expert]! += norm(output) ** 2;
      expected.contributionNorms[expert]! += norm(contribution);
      expected.contributionNormSquares[expert]! += norm(contribution) ** 2;
      expected.replacementSquares[expert]! += replacement ** 2;
      expected.removalSquares[expert]! += removal ** 2;
      expected.shiftedContributionNorms[expert]! += norm(contribution) * shift;
      expected.chosenLogits[expert]! += logits[expert]!;
      expected.chosenMargins[expert]! += logits[expert]! - mean;
    }
  }
  expect(sums.tokens).toBe(tokens.length);
  expect([...sums.counts]).toEqual(expected.counts);
  expect([...sums.topCounts]).toEqual(expected.topCounts);
  const decided = tokens.every(({ changeMargin }) => changeMargin > smallestMargin);
  for (const [sum, values] of Object.entries(expected)) {
    if (!decided && (sum === 'replacementSquares' || sum === 'removalSquares')) {
      continue;
    }
    expectClose(sums[sum as keyof typeof expected], values, sum);
  }
}

function expectPairs(
  statistics: LayerStatistics,
  tokens: readonly TokenObservation[],
  score: 'softmax' | 'sigmoid',
): void {
  const { experts, hiddenSize, activeExperts } = statistics;
  const pairs = () => zeros(experts * experts);
  const [coactivation, norms, gram, logitProducts, probabilityProducts] = [pairs(), pairs(), pairs(), pairs(), pairs()];
  const outputSums = zeros(experts * hiddenSize);
  const largest = zeros(experts);
  const masses = zeros(activeExperts);
  let outputSquares = 0;
  for (const { logits, chosen, blockOutput } of tokens) {
    const probabilities = probabilitiesOf(logits, score);
    outputSquares += norm(blockOutput) ** 2;
    chosen.forEach((left, rank) => {
      chosen.forEach((right) => {
        const at = left.expert * experts + right.expert;
        coactivation[at]! += 1;
        norms[at]! += norm(left.contribution) * norm(right.contribution);
        gram[at]! += dot(left.contribution, right.contribution);
      });
      left.output.forEach((value, column) => (outputSums[left.expert * hiddenSize + column]! += value));
      largest[left.expert] = Math.max(largest[left.expert]!, ...left.output.map(Math.abs));
      masses[rank]! += chosen.slice(0, rank + 1).reduce((sum, { expert }) => sum + probabilities[expert]!, 0);
    });
    for (let i = 0; i < experts; i += 1) {
      for (let j = 0; j < experts; j += 1) {
        logitProducts[i * experts + j]! += logits[i]! * logits[j]!;
        probabilityProducts[i * experts + j]! += probabilities[i]! * probabilities[j]!;
      }
    }
  }
  expect([...statistics.coactivation]).toEqual(coactivation);
  expectClose(statistics.contributionProducts, norms, 'contributionProducts');
  expectClose(statistics.contributionGram, gram, 'contributionGram');
  expectClose(statistics.logitProducts, logitProducts, 'logitProducts');
  expectClose(statistics.probabilityProducts, probabilityProducts, 'probabilityProducts');
  expectClose(statistics.outputSums, outputSums, 'outputSums');
  expectClose(statistics.largestOutputs, largest, 'largestOutputs');
  expectClose(statistics.topMasses, masses, 'topMasses');
  expectClose([statistics.outputSquares], [outputSquares], 'outputSquares');
}

/** Sums over pairs of the experts that the tokens of one text chose. */
function expectTaskPairs(sums: PairSums, tokens: readonly TokenObservation[], experts: number): void {
  const [together, norms, gram] = [zeros(experts ** 2), zeros(experts ** 2), zeros(experts ** 2)];
  for (const { chosen } of tokens) {
    for (const left of chosen) {
      for (const right of chosen) {
        const at = left.expert * experts + right.expert;
        together[at]! += 1;
        norms[at]! += norm(left.contribution) * norm(right.contribution);
        gram[at]! += dot(left.contribution, right.contribution);
      }
    }
  }
  expect([...sums.coactivation]).toEqual(together);
  expectClose(sums.contributionProducts, norms, 'contributionProducts of a task');
  expectClose(sums.contributionGram, gram, 'contributionGram of a task');
}

/** The sampled inputs are inputs of tokens, rounded to bfloat16; all experts ran on them. */
function expectSample(
  { sample, dense, experts, hiddenSize }: LayerStatistics,
  tokens: readonly TokenObservation[],
  block: MoeBlock,
): void {
  // Tokens are sampled by their number in the text, which is the order of the observations.
  const numbers = sampleTokens(tokens.length, sampled, seed);
  const [sums, gram, cosines] = [zeros(experts * hiddenSize), zeros(experts ** 2), zeros(experts ** 2)];
  numbers.forEach((number, at) => {
    const kept = Float64Array.from(sample.inputs.subarray(at * hiddenSize, (at + 1) * hiddenSize));
    const { input } = tokens[number]!;
    expect(norm(input.map((value, column) => value - kept[column]!)) / norm(input)).toBeLessThan(2 ** -8);
    const gate = (expert: number) =>
      block.weightsApplyTo === 'input' ? sigmoid(applyLinear(block.gate, kept)[expert]!) : 1;
    const outputs = block.experts.map((network, expert) => applyGatedNetwork(network, scaled(kept, gate(expert))));
    outputs.forEach((left, i) => {
      left.forEach((value, column) => (sums[i * hiddenSize + column]! += value));
      outputs.forEach((right, j) => {
        gram[i * experts + j]! += dot(left, right);
        cosines[i * experts + j]! += dot(left, right) / (norm(left) * norm(right));
      });
    });
  });
  const mean = (values: readonly number[]) => values.map((value) => value / sampled);
  expect([...sample.tags]).toEqual([...numbers].map((number) => (number < texts[0]!.ids.length ? 1 : 0)));
  expectClose(dense!.meanOutputs, mean(sums), 'meanOutputs');
  expectClose(dense!.gram, gram, 'gram');
  expectClose(dense!.cosines, mean(cosines), 'cosines');
}

/** Largest difference, relative to the largest value of the list. */
function expectClose(actual: ArrayLike<number>, expected: readonly number[], what: string): void {
  expect(actual.length, what).toBe(expected.length);
  const size = Math.max(...expected.map(Math.abs), 1e-12);
  const difference = expected.reduce((worst, value, at) => Math.max(worst, Math.abs(value - actual[at]!)), 0);
  expect(difference / size, what).toBeLessThan(tolerance);
}

function zeros(count: number): number[] {
  return Array<number>(count).fill(0);
}

function dot(left: Float64Array, right: Float64Array): number {
  return left.reduce((sum, value, at) => sum + value * right[at]!, 0);
}

function norm(vector: Float64Array): number {
  return Math.sqrt(dot(vector, vector));
}
