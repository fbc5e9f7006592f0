import type { Checkpoint, TensorEntry } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import type { NetworkNames } from './familyRecord';
import type { FeedForwardSpec, LinearSpec, NormSpec, WeightSource } from './specification';

/** Rows and columns that share one FP8 scale when the config does not say (DeepSeek-V3). */
const defaultFp8Block = [128, 128] as const;

/** Finds tensors of a checkpoint by name and checks their shapes before any graph is built. */
export class WeightLookup {
  private readonly fp8Block: readonly [number, number];

  constructor(readonly checkpoint: Checkpoint) {
    const quantization = quantizationOf(checkpoint);
    const block =
      typeof quantization === 'object' && quantization !== null && 'weight_block_size' in quantization
        ? quantization.weight_block_size
        : undefined;
    this.fp8Block =
      Array.isArray(block) && block.length === 2 && block.every((size) => Number.isInteger(size) && size > 0)
        ? [block[0] as number, block[1] as number]
        : defaultFp8Block;
  }

  find(name: string): TensorEntry | undefined {
    return this.checkpoint.tensors.get(name);
  }

  /** @throws TunerError `missingTensor` */
  tensor(name: string): TensorEntry {
    const entry = this.find(name);
    if (entry === undefined) {
      throw new TunerError('missingTensor', 'The checkpoint lacks this tensor.', {
        file: this.checkpoint.folder,
        place: name,
        wayOut: 'Download the checkpoint again, or check that config.json belongs to it.',
      });
    }
    return entry;
  }

  /** A tensor with exactly this shape. @throws TunerError `missingTensor`, `contradictoryConfig` */
  shaped(name: string, shape: readonly number[]): TensorEntry {
    const entry = this.tensor(name);
    if (entry.shape.length !== shape.length || entry.shape.some((size, axis) => size !== shape[axis])) {
      throw this.wrongShape(entry, shape);
    }
    return entry;
  }

  /** A vector of `size` values, whatever leading axes of one it is stored with. */
  vector(name: string, size: number): TensorEntry {
    const entry = this.tensor(name);
    if (entry.shape.reduce((product, length) => product * length, 1) !== size) {
      throw this.wrongShape(entry, [size]);
    }
    return entry;
  }

  /** An output-major linear map `name.weight` with its bias where the checkpoint has one. */
  linear(name: string, inputSize: number | undefined, outputSize: number | undefined): LinearSpec {
    const entry = this.tensor(`${name}.weight`);
    const [rows, columns] = entry.shape;
    const expected = [outputSize ?? rows, inputSize ?? columns] as number[];
    if (entry.shape.length !== 2 || rows !== expected[0] || columns !== expected[1]) {
      throw this.wrongShape(entry, expected);
    }
    const bias = this.find(`${name}.bias`) === undefined ? undefined : this.vector(`${name}.bias`, expected[0]!);
    return {
      weight: this.source(entry),
      orientation: 'output-major',
      inputSize: expected[1]!,
      outputSize: expected[0]!,
      bias,
    };
  }

  /**
   * Storage of a weight matrix; FP8 tensors bring block scales.
   * @param matrix shape of the matrix where the tensor holds more than one, stacked on leading axes
   */
  source(entry: TensorEntry, matrix: readonly number[] = entry.shape): WeightSource {
    if (!entry.dtype.startsWith('F8')) {
      if (!/^B?F\d/.test(entry.dtype)) {
        throw new TunerError(
          'unsupportedDtype',
          `This weight is stored as ${entry.dtype}, without a scale that is known.`,
          {
            file: entry.file,
            place: entry.name,
            wayOut: 'Start from the BF16, F16, FP8 (blocks with weight_scale_inv) or MXFP4 checkpoint of the model.',
          },
        );
      }
      return { storage: 'plain', entry };
    }
    const name = `${entry.name}_scale_inv`;
    if (this.find(name) === undefined) {
      throw new TunerError('missingTensor', 'This FP8 weight has no block scales.', {
        file: entry.file,
        place: name,
        wayOut: 'Only FP8 checkpoints with weight_scale_inv blocks are documented; use the BF16 checkpoint.',
      });
    }
    const leading = entry.shape.slice(0, entry.shape.length - matrix.length);
    const blocks = matrix.map((size, axis) => Math.ceil(size / this.fp8Block[axis as 0 | 1]));
    return { storage: 'fp8-block', entry, scale: this.shaped(name, [...leading, ...blocks]), block: this.fp8Block };
  }

  norm(name: string, size: number, kind: 'rms' | 'layer', epsilon: number, offset: 0 | 1 = 0): NormSpec {
    const weight = this.vector(`${name}.weight`, size);
    if (kind === 'rms') {
      return { kind, weight, epsilon, offset };
    }
    const bias = this.find(`${name}.bias`) === undefined ? undefined : this.vector(`${name}.bias`, size);
    return { kind, weight, bias, epsilon };
  }

  /** A dense or shared network; the width comes from the tensors. */
  network(stem: string, names: NetworkNames, hiddenSize: number): FeedForwardSpec {
    switch (names.layout) {
      case 'gated': {
        const gate = this.linear(stem + names.gate, hiddenSize, undefined);
        return {
          layout: 'gated',
          gate,
          up: this.linear(stem + names.up, hiddenSize, gate.outputSize),
          down: this.linear(stem + names.down, gate.outputSize, hiddenSize),
        };
      }
      case 'fused': {
        const gateUp = this.linear(stem + names.gateUp, hiddenSize, undefined);
        return {
          layout: 'fused-gated',
          gateUp,
          arrangement: 'concatenated',
          down: this.linear(stem + names.down, gateUp.outputSize / 2, hiddenSize),
        };
      }
      case 'ungated': {
        const up = this.linear(stem + names.up, hiddenSize, undefined);
        return { layout: 'ungated', up, down: this.linear(stem + names.down, up.outputSize, hiddenSize) };
      }
    }
  }

  wrongShape(entry: TensorEntry, expected: readonly (number | undefined)[]): TunerError {
    return new TunerError(
      'contradictoryConfig',
      `The tensor has the shape [${entry.shape.join(', ')}], but the config implies [${expected.join(', ')}].`,
      {
        file: entry.file,
        place: entry.name,
        wayOut: 'Correct config.json, or use the config that belongs to these weights.',
      },
    );
  }
}

/** The quantization config, which multi-modal checkpoints may keep inside their text config. */
function quantizationOf({ config }: Checkpoint): unknown {
  const text = config['text_config'];
  const nested =
    typeof text === 'object' && text !== null && 'quantization_config' in text ? text.quantization_config : undefined;
  return config['quantization_config'] ?? nested;
}
