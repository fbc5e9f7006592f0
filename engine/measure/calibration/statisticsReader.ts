import { readTensorBytes } from '../../checkpoint/readTensor';
import { readSafetensorsHeader } from '../../checkpoint/safetensorsHeader';
import { toFloat32 } from '../../checkpoint/convertDtype';
import type { Dtype, TensorEntry } from '../../checkpoint/types';
import { TunerError } from '../../protocol/errors';

/** A refusal of a file of this product that is damaged, or not one. */
export function malformedStatistics(file: string, place: string, message: string): TunerError {
  return new TunerError('malformedStatistics', message, {
    file,
    place,
    wayOut: 'Write it again with moe-tuner calibrate.',
  });
}

/** Reads the tensors of one file by name, each with the dtype and shape it must have, and remembers which are left. */
export class StatisticsReader {
  private readonly left: Map<string, TensorEntry>;

  private constructor(
    readonly file: string,
    readonly metadata: Readonly<Record<string, string>>,
    tensors: readonly TensorEntry[],
  ) {
    this.left = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  }

  /** @throws TunerError `fileNotFound`, `malformedSafetensors`, `unsupportedDtype` */
  static async open(file: string): Promise<StatisticsReader> {
    const { tensors, metadata } = await readSafetensorsHeader(file);
    return new StatisticsReader(file, metadata, tensors);
  }

  /** Shape of a tensor, undefined when the file lacks it. */
  shape(name: string): readonly number[] | undefined {
    return this.left.get(name)?.shape;
  }

  async doubles(name: string, shape: readonly number[]): Promise<Float64Array> {
    const bytes = await this.bytes(name, 'F64', shape);
    return this.finite(name, new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8));
  }

  /** Elements of any float dtype that is given. */
  async floats(name: string, dtype: 'F32' | 'BF16' | 'F16', shape: readonly number[]): Promise<Float32Array> {
    return this.finite(name, toFloat32(dtype, await this.bytes(name, dtype, shape)));
  }

  async shorts(name: string, shape: readonly number[]): Promise<Uint16Array> {
    const bytes = await this.bytes(name, 'U16', shape);
    return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  }

  async integers(name: string, shape: readonly number[]): Promise<Int32Array> {
    const bytes = await this.bytes(name, 'I32', shape);
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  }

  /** @throws TunerError `malformedStatistics` when the file holds tensors that nobody asked for */
  assertAllRead(): void {
    const [name] = this.left.keys();
    if (name !== undefined) {
      throw malformedStatistics(this.file, name, 'The file holds a tensor that does not belong into it.');
    }
  }

  private async bytes(name: string, dtype: Dtype, shape: readonly number[]): Promise<Uint8Array> {
    const entry = this.left.get(name);
    const wanted = `${dtype} [${shape.join(', ')}]`;
    if (entry === undefined) {
      throw malformedStatistics(this.file, name, `The tensor is missing: ${wanted} is expected.`);
    }
    const found = `${entry.dtype} [${entry.shape.join(', ')}]`;
    if (found !== wanted) {
      throw malformedStatistics(this.file, name, `The tensor is ${found} instead of ${wanted}.`);
    }
    this.left.delete(name);
    return readTensorBytes(entry);
  }

  private finite<Values extends Float32Array | Float64Array>(name: string, values: Values): Values {
    const wrong = values.findIndex((value) => !Number.isFinite(value));
    if (wrong !== -1) {
      throw malformedStatistics(this.file, `${name}, element ${wrong}`, `The value is ${values[wrong]}.`);
    }
    return values;
  }
}
