import type { DecoderLayerSpec } from '../families/specification';
import { layerNames, sequenceNeeds } from '../graph/decoderLayerGraph';
import { rotaryTables } from '../graph/rotaryTables';
import { attentionMask, queryTemperature } from '../graph/sequenceTables';
import type { Feeds, HostTensor } from '../runtime/session';

/** Builds the position-dependent inputs of decoder layers, each table once per length. */
export class LayerInputs {
  private readonly tables = new Map<string, HostTensor>();

  /** Feeds of one layer besides the hidden states, for sequences of `time` tokens and `k` active experts. */
  feeds(layer: DecoderLayerSpec, time: number, k: number | undefined): Feeds {
    const { mixer } = layer;
    const needs = sequenceNeeds(mixer);
    const feeds: Record<string, HostTensor> = {};
    if (needs.rotary && mixer.kind !== 'short-convolution' && mixer.rotary !== undefined) {
      const rotary = mixer.rotary;
      const key = JSON.stringify(rotary);
      const both = () => rotaryTables(rotary, time);
      feeds[layerNames.cosine] = this.table(`cos ${time} ${key}`, () => [both().cosine, rotary.dimensions / 2]);
      feeds[layerNames.sine] = this.table(`sin ${time} ${key}`, () => [both().sine, rotary.dimensions / 2]);
    }
    if (needs.mask && mixer.kind !== 'short-convolution') {
      const { mask } = mixer;
      feeds[layerNames.mask] = this.table(`mask ${time} ${JSON.stringify(mask)}`, () => [
        attentionMask(mask, time),
        time,
      ]);
    }
    if (mixer.kind === 'grouped-query' && mixer.temperature !== undefined) {
      const { temperature } = mixer;
      feeds[layerNames.temperature] = this.table(`temperature ${time} ${JSON.stringify(temperature)}`, () => [
        queryTemperature(temperature, time),
        1,
      ]);
    }
    if (layer.feedForward.kind === 'moe') {
      const { block } = layer.feedForward;
      feeds[layerNames.activeExperts] = {
        type: 'int64',
        data: BigInt64Array.of(BigInt(k ?? block.activeExperts)),
        shape: [1],
      };
    }
    return feeds;
  }

  private table(key: string, make: () => readonly [Float32Array, number]): HostTensor {
    const known = this.tables.get(key);
    if (known !== undefined) {
      return known;
    }
    const [data, width] = make();
    const tensor: HostTensor = { type: 'float32', data, shape: [data.length / width, width] };
    this.tables.set(key, tensor);
    return tensor;
  }
}
