import { writeSafetensors } from '../checkpoint/writeSafetensors';
import { runBlock } from '../measure/blockRun';
import type { JobContext } from '../measure/jobContext';
import { TunerError } from '../protocol/errors';
import { assertActiveExperts } from './activeExperts';
import { openModel } from './openModel';
import { runtimeOptions, type EngineServices } from './services';
import { bytesOf, readInputTensor } from './tensorInput';
import { ranOn } from '../runtime/graphTargets';

export interface MoeParams {
  readonly checkpoint: string;
  readonly layer: number;
  readonly input: string;
  readonly out: string;
  readonly activeExperts?: number | undefined;
}

export interface MoeResult {
  readonly layer: number;
  readonly tokens: number;
  readonly activeExperts: number;
  readonly seconds: number;
  readonly provider: string;
}

/**
 * Runs one MoE block on tensor `x [..., hidden]` of a safetensors file and writes `y` of the same shape.
 * @throws TunerError `usage`, `malformedTensorInput`, `writeFailed`, and those of opening a checkpoint
 */
export async function moe(params: MoeParams, services: EngineServices, job: JobContext): Promise<MoeResult> {
  const { resolved } = await openModel(params.checkpoint);
  const block = resolved.blocks.find(({ layer }) => layer === params.layer);
  if (block === undefined) {
    throw new TunerError('usage', `Layer ${params.layer} is not a MoE layer.`, {
      place: '--layer',
      wayOut: `The MoE layers are ${resolved.blocks.map(({ layer }) => layer).join(', ')}.`,
    });
  }
  const k = params.activeExperts ?? block.activeExperts;
  assertActiveExperts(block, k);
  const { values, shape } = await readInputTensor(params.input, 'x');
  if (shape.at(-1) !== block.hiddenSize) {
    throw new TunerError(
      'malformedTensorInput',
      `The last axis of x is ${shape.at(-1)}, the hidden size is ${block.hiddenSize}.`,
      {
        file: params.input,
        place: 'x',
        wayOut: `Give x of shape [..., ${block.hiddenSize}].`,
      },
    );
  }
  const start = performance.now();
  const runtime = await runtimeOptions(services, job);
  const output = await runBlock(block, values, k, runtime, job);
  const seconds = (performance.now() - start) / 1000;
  await writeSafetensors(params.out, [{ name: 'y', dtype: 'F32', shape, data: bytesOf(output) }]);
  const tokens = values.length / block.hiddenSize;
  return { layer: block.layer, tokens, activeExperts: k, seconds, provider: ranOn(runtime) };
}
