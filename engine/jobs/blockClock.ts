import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { writeError } from '../checkpoint/atomicFile';
import { dataFileName } from '../export/onnx/externalData';
import { placeStacked } from '../export/onnx/placedGraph';
import { planOnnx } from '../export/onnx/planOnnx';
import { writeArtefact } from '../export/writeArtefact';
import { exportedBlockGraph } from '../graph/export/exportedBlockGraph';
import { StackedTensors } from '../graph/export/stackedTensors';
import { BlockTimer } from '../measure/blockLatency';
import { ExportedBlockTimer } from '../measure/exportedBlockLatency';
import type { JobContext } from '../measure/jobContext';
import { isotonic } from '../numeric/isotonic';
import { TunerError } from '../protocol/errors';
import type { RuntimeOptions } from '../runtime/session';
import { trainedActiveExperts } from './activeExperts';
import type { OpenModel } from './openModel';
import type { EngineServices } from './services';

/** Rounds over all layers and numbers of active experts. */
const timedRounds = 15;

/** Times of the MoE blocks of a model on this machine. Dispose it. */
export interface BlockClock {
  /** How the blocks run, for the person. */
  readonly form: string;
  /** Median microseconds per layer by k-1; the exported form is fitted so that more experts never take less. */
  table(): Promise<number[][]>;
  /** Microseconds of all layers together, each at its k, measured anew. */
  total(allocation: readonly number[]): Promise<number>;
  dispose(): Promise<void>;
}

/**
 * Times blocks in the form in which they will run: on a processor as an ONNX export has them, elsewhere, and where the export refuses
 * the model, in the graphs of the engine.
 */
export async function openBlockClock(
  model: OpenModel,
  batch: number,
  runtime: RuntimeOptions,
  services: EngineServices,
  job: JobContext,
): Promise<BlockClock> {
  if (runtime.provider === 'cpu') {
    try {
      return await openExported(model, batch, runtime, services, job);
    } catch (error) {
      if (!(TunerError.is(error) && error.code === 'unsupportedFeature')) {
        throw error;
      }
      job.log('info', `The blocks are timed in the engine's own form: ${error.message}`);
    }
  }
  const timer = await BlockTimer.open(model.resolved.blocks, batch, runtime, job);
  return {
    form: 'in the form in which this tool runs them',
    table: () => timer.table(),
    total: (allocation) => timer.total(allocation),
    dispose: () => timer.dispose(),
  };
}

/** Exports the model as it was trained into a scratch folder and opens its blocks. */
async function openExported(
  { resolved, ...model }: OpenModel,
  batch: number,
  runtime: RuntimeOptions,
  services: EngineServices,
  job: JobContext,
): Promise<BlockClock> {
  const onnx = planOnnx(resolved.decoder(), resolved, trainedActiveExperts({ resolved, ...model }));
  const scratch = await scratchFolder(services.settings.cacheDirectory);
  try {
    const folder = path.join(scratch, 'model');
    await writeArtefact(folder, onnx.files, { job, verify: () => Promise.resolve() });
    const blocks = resolved.blocks.map((block) => ({
      layer: block.layer,
      hiddenSize: block.hiddenSize,
      graph: placeStacked(
        exportedBlockGraph(block, block.activeExperts, new StackedTensors()),
        onnx.stacked,
        path.join(folder, dataFileName),
      ),
      most: block.activeExperts,
    }));
    const timer = await ExportedBlockTimer.open(blocks, runtime, job);
    return {
      form: 'in the form of an ONNX export',
      table: async () => (await timer.table(batch, timedRounds)).map(isotonic),
      total: (allocation) => timer.total(allocation, batch, timedRounds),
      dispose: async () => {
        await timer.dispose();
        await rm(scratch, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(scratch, { recursive: true, force: true });
    throw error;
  }
}

async function scratchFolder(cacheDirectory: string): Promise<string> {
  try {
    await mkdir(cacheDirectory, { recursive: true });
    return await mkdtemp(path.join(cacheDirectory, 'budget-'));
  } catch (error) {
    throw writeError(error, cacheDirectory);
  }
}
