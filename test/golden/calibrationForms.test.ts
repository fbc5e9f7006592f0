import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { calibrationGraph, calibrationNames } from '../../engine/graph/calibrationGraph';
import { denseExpertsGraph, denseNames } from '../../engine/graph/denseExpertsGraph';
import { cpuTarget, type GraphTarget } from '../../engine/graph/graphTarget';
import { openSession } from '../../engine/runtime/session';
import { openResolved, testRuntime } from '../support/engineRun';
import { gaussianSource } from '../support/tinyCheckpoints/randomTensors';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/** Forms of the graphs for GPUs, run on the processor: what they give must not depend on the form. */
const forms: readonly (readonly [string, GraphTarget, number])[] = [
  ['sorted', { ...cpuTarget, experts: 'sorted', splitOutputs: 2 }, 2e-5],
  ['split products', { ...cpuTarget, experts: 'sorted', products: 'split' }, 2e-4],
  ['fused', { ...cpuTarget, experts: 'fused' }, 2e-5],
];

const tokens = 24;
const scratch = mkdtempSync(path.join(tmpdir(), 'calibration-forms-'));

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

async function outputsOf(graph: Uint8Array, input: string, x: Float32Array, width: number) {
  const session = await openSession(graph, testRuntime);
  try {
    return await session.run({ [input]: { type: 'float32', data: x, shape: [x.length / width, width] } });
  } finally {
    await session.dispose();
  }
}

describe.each(['mixtral', 'deepseek_v3-yarn', 'gpt_oss', 'llama4_text-chunked'])('%s', (name) => {
  test('statistics do not depend on the form of the graph', async () => {
    const checkpoint = tinyCheckpoints.find((each) => each.name === name)!;
    const model = (await openResolved(writeTinyCheckpoint(checkpoint, path.join(scratch, name)))).decoder();
    const layer = model.layers.at(-1)!;
    if (layer.feedForward.kind !== 'moe') {
      throw new Error('the last layer has no experts');
    }
    const { block } = layer.feedForward;
    const width = model.hiddenSize;
    const x = Float32Array.from({ length: tokens * width }, gaussianSource(`residuals of ${name}`, tokens));
    const graphs: readonly [string, (target: GraphTarget) => Uint8Array][] = [
      [calibrationNames.residual, (target) => calibrationGraph(layer, width, block.activeExperts, target)],
      [denseNames.x, (target) => denseExpertsGraph(block, target)],
    ];
    for (const [input, build] of graphs) {
      const expected = await outputsOf(build(cpuTarget), input, x, width);
      for (const [form, target, tolerance] of forms) {
        const actual = await outputsOf(build(target), input, x, width);
        for (const [output, { data, shape }] of Object.entries(expected)) {
          expect(actual[output]!.shape, `${form}, ${output}`).toEqual(shape);
          expect(relativeError(actual[output]!.data, data), `${form}, ${output}`).toBeLessThan(tolerance);
        }
      }
    }
  });
});

function relativeError(actual: Float32Array | BigInt64Array, expected: Float32Array | BigInt64Array): number {
  let [error, size] = [0, 0];
  for (let at = 0; at < expected.length; at += 1) {
    error += (Number(actual[at]!) - Number(expected[at]!)) ** 2;
    size += Number(expected[at]!) ** 2;
  }
  return size === 0 ? Math.sqrt(error) : Math.sqrt(error / size);
}
