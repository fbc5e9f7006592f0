import { fromFloat32 } from '../checkpoint/encodeDtype';
import { readTensorFloat32 } from '../checkpoint/readTensor';
import { readSafetensorsHeader } from '../checkpoint/safetensorsHeader';
import { writeSafetensors, type TensorToWrite } from '../checkpoint/writeSafetensors';
import type { MeasuredLayer } from '../measure/calibration/calibrationPass';
import { layerTensors, readLayerTensors } from '../measure/calibration/layerTensors';
import type { KeptHidden, PassProgress } from '../measure/calibration/passProgress';
import { StatisticsReader } from '../measure/calibration/statisticsReader';
import { readTraceTensors, traceTensors } from '../measure/calibration/traceFile';
import { ResultCache } from './resultCache';

/** Shortest time between two copies of the hidden states: a killed run loses about as much. */
const keepInterval = 20_000;

/** Largest share of the cache that hidden states may take. */
const largestShare = 0.5;

const layerFile = 'layer.safetensors';
const hiddenFile = 'hidden.safetensors';

export interface KeptProgressOptions {
  readonly cache: ResultCache;
  readonly cacheLimitBytes: number;
  /** Everything the measurement depends on. */
  readonly key: unknown;
  readonly tags: readonly string[];
  readonly trace: boolean;
  /** Milliseconds between two copies of the hidden states; for tests. */
  readonly interval?: number | undefined;
}

/** A pass's progress in the result cache: one file per measured layer, and the hidden states now and then. */
export class KeptProgress implements PassProgress {
  private lastKept = performance.now();

  constructor(private readonly options: KeptProgressOptions) {}

  async readLayer(index: number): Promise<MeasuredLayer | undefined> {
    const { cache, tags, trace } = this.options;
    try {
      const reader = await StatisticsReader.open(cache.filePath(this.key(index), layerFile));
      const statistics = await readLayerTensors(reader, index, tags);
      return {
        statistics,
        trace: trace ? await readTraceTensors(reader, statistics, statistics.total.tokens) : undefined,
      };
    } catch {
      return undefined;
    }
  }

  async writeLayer({ statistics, trace }: MeasuredLayer): Promise<void> {
    const tensors = [
      ...layerTensors(statistics),
      ...(trace === undefined ? [] : traceTensors(statistics.index, trace)),
    ];
    await this.options.cache.keepFile(this.key(statistics.index), layerFile, (file) => writeSafetensors(file, tensors));
  }

  /** Forgets a layer, so that it is measured again. */
  async forget(index: number): Promise<void> {
    await this.options.cache.removeFile(this.key(index), layerFile);
  }

  async readHidden(lengths: readonly number[]): Promise<KeptHidden | undefined> {
    try {
      const file = this.options.cache.filePath(this.key('hidden'), hiddenFile);
      const { tensors, metadata } = await readSafetensorsHeader(file);
      const batches = lengths.map((length, at) => {
        const entry = tensors.find(({ name }) => name === `batch.${at}`);
        if (entry?.dtype !== 'F32' || entry.shape[0] !== length) {
          throw new RangeError(`hidden states of batch ${at} are not kept`);
        }
        return entry;
      });
      const layer = Number(metadata.layer);
      return Number.isSafeInteger(layer) && layer > 0
        ? { layer, read: (batch) => readTensorFloat32(batches[batch]!) }
        : undefined;
    } catch {
      return undefined;
    }
  }

  async keepHidden(
    layer: number,
    lengths: readonly number[],
    read: (batch: number) => Promise<Float32Array>,
  ): Promise<void> {
    const { cache, cacheLimitBytes, interval = keepInterval } = this.options;
    const bytes = lengths.reduce((sum, length) => sum + 4 * length, 0);
    if (performance.now() - this.lastKept < interval || bytes > largestShare * cacheLimitBytes) {
      return;
    }
    const tensors = lengths.map((length, at): TensorToWrite => ({
      name: `batch.${at}`,
      dtype: 'F32',
      shape: [length],
      data: oneChunk(() => read(at)),
    }));
    await cache.keepFile(this.key('hidden'), hiddenFile, (file) =>
      writeSafetensors(file, tensors, { layer: String(layer) }),
    );
    this.lastKept = performance.now();
  }

  async finished(): Promise<void> {
    await this.options.cache.removeFile(this.key('hidden'), hiddenFile);
  }

  private key(part: number | string): string {
    return ResultCache.key(['calibration', this.options.key, part]);
  }
}

async function* oneChunk(read: () => Promise<Float32Array>): AsyncGenerator<Uint8Array> {
  yield fromFloat32('F32', await read());
}
