import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { TensorEntry } from '../../engine/checkpoint/types';
import type { RouterSpec } from '../../engine/families/specification';
import { GraphBuilder } from '../../engine/graph/graphBuilder';
import { router } from '../../engine/graph/router';
import { floats, openSession } from '../../engine/runtime/session';
import { testRuntime } from './engineRun';

/** A router pipeline without its weight: the tests feed logits, since the weight is the identity. */
export type RouterPipeline = Omit<RouterSpec, 'weight' | 'bias' | 'selectionBias'>;

/** What a router decided: `[tokens][k]`, best first. */
export interface RouterDecision {
  readonly experts: number[][];
  readonly gates: number[][];
}

/**
 * Runs the engine's router graph on logits `[tokens][experts]`.
 * @param folder where the weight files are written
 */
export async function runRouter(
  folder: string,
  pipeline: RouterPipeline,
  logits: readonly (readonly number[])[],
  k: number,
  selectionBias?: readonly number[],
  logitBias?: readonly number[],
): Promise<RouterDecision> {
  const experts = logits[0]!.length;
  const identity = Array.from({ length: experts * experts }, (_, at) => (at % (experts + 1) === 0 ? 1 : 0));
  const spec: RouterSpec = {
    ...pipeline,
    weight: { storage: 'plain', entry: writeEntry(folder, 'identity', [experts, experts], identity) },
    bias: logitBias === undefined ? undefined : writeEntry(folder, 'bias', [experts], logitBias),
    selectionBias: selectionBias === undefined ? undefined : writeEntry(folder, 'selection', [experts], selectionBias),
  };
  const graph = new GraphBuilder();
  const x = graph.input('x', DataType.FLOAT, [null, experts]);
  const count = graph.input('k', DataType.INT64, [1]);
  const routing = router(graph, x, spec, experts, count);
  graph.output('gates', routing.gates(), DataType.FLOAT, [null, null]);
  const asFloat = graph.node('Cast', [routing.experts], { to: DataType.FLOAT });
  graph.output('experts', asFloat, DataType.FLOAT, [null, null]);
  const session = await openSession(graph.build('router'), testRuntime);
  try {
    const result = await session.run({
      x: { type: 'float32', data: Float32Array.from(logits.flat()), shape: [logits.length, experts] },
      k: { type: 'int64', data: BigInt64Array.of(BigInt(k)), shape: [1] },
    });
    const chosen = floats(result, 'experts').length / logits.length;
    const rows = (name: string) =>
      logits.map((_, token) => [...floats(result, name).subarray(token * chosen, (token + 1) * chosen)]);
    return { experts: rows('experts'), gates: rows('gates') };
  } finally {
    await session.dispose();
  }
}

let written = 0;

function writeEntry(folder: string, name: string, shape: readonly number[], values: readonly number[]): TensorEntry {
  written += 1;
  const file = path.join(folder, `${name}-${written}.bin`);
  const bytes = Buffer.from(Float32Array.from(values).buffer);
  writeFileSync(file, bytes);
  return { name, dtype: 'F32', shape, file, byteOffset: 0, byteLength: bytes.length };
}
