import { blockGraph, blockNames } from '../../engine/graph/blockGraph';
import { headGraph, headNames } from '../../engine/graph/modelEndsGraph';
import { sensitivityGraph, sensitivityNames } from '../../engine/graph/sensitivityGraph';
import { quietJob } from '../../engine/measure/jobContext';
import { LayerSessions } from '../../engine/measure/layerSessions';
import { walkLayers } from '../../engine/measure/layerWalk';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import type { ResolvedModel } from '../../engine/families/resolveModel';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { openGraph } from '../../engine/runtime/openGraph';
import { floats, type RuntimeOptions, type RuntimeSession } from '../../engine/runtime/session';
import { openResolved } from './engineRun';
import { gaussianSource } from './tinyCheckpoints/randomTensors';

/** What one family gave on a provider, relative to the processor. */
export interface ProviderErrors {
  readonly family: string;
  readonly block: number;
  readonly sensitivity: number;
  /** 0 where it was not asked for. */
  readonly logits: number;
}

/** Fewer than there are experts to choose: some get no rows, some several. */
const tokens = 8;

/** Sessions stay open until the end: a device compiles its programs again once none is left. */
const opened: RuntimeSession[] = [];

/**
 * Blocks and sensitivities of checkpoint folders on a provider against the processor, and logits of those that are marked
 * with a leading +; one line of JSON each.
 */
async function main([provider, ...folders]: readonly string[]): Promise<void> {
  const device: RuntimeOptions = { provider: provider!, threads: 2 };
  const processor: RuntimeOptions = { provider: 'cpu', threads: 2 };
  for (const marked of folders) {
    const whole = marked.startsWith('+');
    const model = await openResolved(whole ? marked.slice(1) : marked);
    const block = model.blocks.at(-1)!;
    const source = gaussianSource('inputs of a provider', 1);
    const x = Float32Array.from({ length: tokens * block.hiddenSize }, source);
    const both = async (run: (runtime: RuntimeOptions) => Promise<Float32Array>) =>
      relativeError(await run(device), await run(processor));
    const errors: ProviderErrors = {
      family: model.recognised.record.name,
      block: await both((runtime) => outputOf(block, x, runtime)),
      sensitivity: await both((runtime) => normsOf(block, x, runtime)),
      logits: whole ? await both((runtime) => logitsOf(model, runtime)) : 0,
    };
    process.stdout.write(`${JSON.stringify(errors)}\n`);
  }
  await Promise.all(opened.map((session) => session.dispose()));
}

async function keep(opening: Promise<RuntimeSession>): Promise<RuntimeSession> {
  const session = await opening;
  opened.push(session);
  return session;
}

async function outputOf(block: MoeBlockSpec, x: Float32Array, runtime: RuntimeOptions): Promise<Float32Array> {
  const session = await keep(openGraph((target) => blockGraph(block, target), runtime));
  const results = await session.run({
    [blockNames.x]: { type: 'float32', data: x, shape: [tokens, block.hiddenSize] },
    [blockNames.activeExperts]: { type: 'int64', data: BigInt64Array.of(BigInt(block.activeExperts)), shape: [1] },
  });
  return floats(results, blockNames.y);
}

async function normsOf(block: MoeBlockSpec, x: Float32Array, runtime: RuntimeOptions): Promise<Float32Array> {
  const session = await keep(openGraph((target) => sensitivityGraph(block, target), runtime));
  const results = await session.run({
    [sensitivityNames.x]: { type: 'float32', data: x, shape: [tokens, block.hiddenSize] },
  });
  const damage = block.activeExperts > 1 ? floats(results, sensitivityNames.squaredDamage) : new Float32Array(0);
  return Float32Array.from([...floats(results, sensitivityNames.squaredNorm), ...damage]);
}

async function logitsOf(model: ResolvedModel, runtime: RuntimeOptions): Promise<Float32Array> {
  const spec = model.decoder();
  const sequences = [Int32Array.from({ length: tokens }, (_, at) => (at * 7) % spec.vocabularySize)];
  const sessions = new LayerSessions(spec, runtime);
  const walk = await walkLayers({
    model: spec,
    sessions,
    runtime,
    batches: batchSequences(sequences, 1),
    variants: [model.blocks.map(({ activeExperts }) => activeExperts)],
    job: quietJob(),
  });
  const head = await openGraph((target) => headGraph(spec, target), runtime);
  const data = await walk.hidden(0, 0);
  const shape = [data.length / spec.hiddenSize, spec.hiddenSize];
  const results = await head.run({ [headNames.hidden]: { type: 'float32', data, shape } });
  await head.dispose();
  await walk.dispose();
  await sessions.dispose();
  return floats(results, headNames.logits);
}

function relativeError(actual: Float32Array, expected: Float32Array): number {
  let [error, norm] = [0, 0];
  for (let at = 0; at < expected.length; at += 1) {
    error += (actual[at]! - expected[at]!) ** 2;
    norm += expected[at]! ** 2;
  }
  return Math.sqrt(error / norm);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
