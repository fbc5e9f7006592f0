import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigValues } from './configValues';
import type { Linear } from './linear';
import { matrixShape } from './linear';
import { readCheckpointTensors, type Tensor } from './readTensors';

/** A small checkpoint held in memory: the text model's configuration and every tensor in double precision. */
export class ReferenceCheckpoint {
  readonly config: ConfigValues;
  /** What stands before `layers.{i}.` in tensor names, for example `model.`. */
  readonly prefix: string;
  private readonly tensors: Map<string, Tensor>;

  constructor(readonly folder: string) {
    const config = new ConfigValues(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')));
    this.config = config.section('text_config') ?? config.section('thinker_config')?.section('text_config') ?? config;
    this.tensors = readCheckpointTensors(folder);
    const embedding = [...this.tensors.keys()].find((name) => name.endsWith('embed_tokens.weight'));
    this.prefix = embedding === undefined ? '' : embedding.slice(0, -'embed_tokens.weight'.length);
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  tensor(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new Error(`${this.folder} has no tensor ${name}.`);
    const scales = this.tensors.get(`${name}_scale_inv`);
    return scales === undefined ? tensor : this.withBlockScales(tensor, scales);
  }

  optional(name: string): Tensor | undefined {
    return this.has(name) ? this.tensor(name) : undefined;
  }

  /** `<name>.weight` with `<name>.bias` where the checkpoint has one. */
  linear(name: string): Linear {
    return { weight: this.tensor(`${name}.weight`), bias: this.optional(`${name}.bias`) };
  }

  /** `layers.{index}` with the text model's prefix. */
  layer(index: number): string {
    return `${this.prefix}layers.${index}`;
  }

  /** FP8 block scaling of DeepSeek-V3: one factor for each block of rows × columns; edge blocks may be smaller. */
  private withBlockScales(tensor: Tensor, scales: Tensor): Tensor {
    const [height, width] = matrixShape(tensor);
    const [blockHeight = 128, blockWidth = 128] =
      this.config.section('quantization_config')?.optionalNumbers('weight_block_size') ?? [];
    const scalesPerRow = Math.ceil(width / blockWidth);
    const data = new Float64Array(tensor.data.length);
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const block = Math.floor(row / blockHeight) * scalesPerRow + Math.floor(column / blockWidth);
        data[row * width + column] = tensor.data[row * width + column]! * scales.data[block]!;
      }
    }
    return { shape: tensor.shape, data };
  }
}
