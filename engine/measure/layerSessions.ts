import { specTensors } from '../families/specTensors';
import type { ModelSpec } from '../families/specification';
import { decoderLayerGraph, layerNames, moeBlockOf } from '../graph/decoderLayerGraph';
import { openGraph } from '../runtime/openGraph';
import { PageReader } from '../runtime/pageReader';
import type { RuntimeOptions, RuntimeSession } from '../runtime/session';

/** Mapped weight bytes up to which the sessions of all layers stay open; larger models keep one layer at a time. */
const keptBytes = 2 ** 31;

/**
 * Sessions of the decoder layers of one model. A walk through the layers needs one at a time; small models keep all of them where
 * layers are run again and again. An open session keeps the memory of its largest run.
 */
export class LayerSessions {
  private readonly open = new Map<number, RuntimeSession>();
  private readonly keepAll: boolean;
  private readonly pages = new PageReader();

  constructor(
    readonly model: ModelSpec,
    private readonly runtime: RuntimeOptions,
    passes: 'one' | 'many' = 'one',
  ) {
    this.keepAll =
      passes === 'many' && specTensors(model).reduce((sum, entry) => sum + entry.byteLength, 0) <= keptBytes;
  }

  /** The session of layer `index`; it may close the session of another layer. */
  async layer(index: number): Promise<RuntimeSession> {
    const known = this.open.get(index);
    if (known !== undefined) {
      return known;
    }
    if (!this.keepAll) {
      await this.dispose();
    }
    const layer = this.model.layers[index]!;
    const session = await openGraph((target) => decoderLayerGraph(layer, this.model.hiddenSize, target), this.runtime, {
      batched: [layerNames.hidden],
      block: moeBlockOf(layer),
    });
    this.open.set(index, session);
    this.readAhead(index + 1);
    return session;
  }

  /** On a device, the next layer is read from disk while this one runs; processors read what they need of it themselves. */
  private readAhead(index: number): void {
    const next = this.model.layers[index];
    if (this.runtime.provider !== 'cpu' && !this.keepAll && next !== undefined) {
      this.pages.read(specTensors(next));
    }
  }

  async dispose(): Promise<void> {
    const sessions = [...this.open.values()];
    this.open.clear();
    for (const session of sessions) {
      await session.dispose();
    }
  }
}
