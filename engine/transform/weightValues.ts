import { readTensorFloat32, sliceTensor } from '../checkpoint/readTensor';
import { dtypeBytes, type TensorEntry } from '../checkpoint/types';
import type { BlockQuantizedWeight, LinearSpec, WeightSource } from '../families/specification';
import { decodeStoredWeight } from './decodeWeight';
import { readLinear, transpose } from './readWeight';
import { collectRounded } from './rounding/collectRounded';
import { RoundedParts } from './rounding/roundedParts';

type Orientation = LinearSpec['orientation'];
type Arrangement = 'concatenated' | 'interleaved';

/** Values that are in memory at once where a matrix can be read in parts. */
const valuesAtOnce = 2 ** 21;

/** Where the numbers of a linear map come from, however they are stored. */
export interface WeightValues {
  readonly inputSize: number;
  readonly outputSize: number;
  /** The bytes themselves, where one plain tensor in some orientation holds them. */
  readonly plain?: { readonly entry: TensorEntry; readonly orientation: Orientation } | undefined;
  /** The codes the numbers come from, where no file has them. */
  readonly rounded?: BlockQuantizedWeight | undefined;
  readonly hasBias: boolean;
  /** Row-major `[out, in]` or `[in, out]`, in parts of whole rows. */
  rows(orientation: Orientation): AsyncIterable<Float32Array>;
  whole(orientation: Orientation): Promise<Float32Array>;
  bias(): Promise<Float32Array>;
}

/** The values of one linear map. */
export function linearValues(linear: LinearSpec): WeightValues {
  const { weight, orientation, inputSize, outputSize, bias } = linear;
  const rounded = weight.storage === 'block-quantized' && weight.rounding !== undefined ? weight : undefined;
  const whole = async (wanted: Orientation) => {
    const values = rounded === undefined ? await readLinear(linear) : await roundedValues(rounded);
    return wanted === 'output-major' ? values : transpose(values, outputSize, inputSize);
  };
  return {
    inputSize,
    outputSize,
    rounded,
    plain: weight.storage === 'plain' ? { entry: weight.entry, orientation } : undefined,
    hasBias: bias !== undefined,
    async *rows(wanted) {
      if (
        wanted !== orientation ||
        rounded !== undefined ||
        weight.storage === 'fp8-block' ||
        weight.storage === 'mxfp4'
      ) {
        yield await whole(wanted);
        return;
      }
      const [rows, columns] = wanted === 'output-major' ? [outputSize, inputSize] : [inputSize, outputSize];
      const step = Math.max(1, Math.floor(valuesAtOnce / columns));
      for (let from = 0; from < rows; from += step) {
        yield await decodeStoredWeight(rowsOf(weight, from, Math.min(rows, from + step), columns));
      }
    },
    whole,
    bias: () => (bias === undefined ? Promise.resolve(new Float32Array(outputSize)) : readTensorFloat32(bias)),
  };
}

/** The numbers that the codes of a weight stand for, `[rows, columns]`, where no file has the codes. */
async function roundedValues(weight: BlockQuantizedWeight): Promise<Float32Array> {
  const bytes = await collectRounded(new RoundedParts(weight, [{ form: 'values', dtype: 'F32', factor: 1 }]));
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** The values of gate and up projections as one map whose outputs are those of both. */
export function joinedValues(gate: LinearSpec, up: LinearSpec, arrangement: Arrangement): WeightValues {
  const [first, second] = [linearValues(gate), linearValues(up)];
  const { inputSize } = gate;
  const outputSize = gate.outputSize + up.outputSize;
  const whole = async (wanted: Orientation) => {
    const both = joinRows(
      await first.whole('output-major'),
      await second.whole('output-major'),
      inputSize,
      arrangement,
    );
    return wanted === 'output-major' ? both : transpose(both, outputSize, inputSize);
  };
  return {
    inputSize,
    outputSize,
    hasBias: first.hasBias || second.hasBias,
    async *rows(wanted) {
      if (wanted === 'output-major' && arrangement === 'concatenated') {
        yield* first.rows(wanted);
        yield* second.rows(wanted);
        return;
      }
      yield await whole(wanted);
    },
    whole,
    bias: async () => joinRows(await first.bias(), await second.bias(), 1, arrangement),
  };
}

function joinRows(gate: Float32Array, up: Float32Array, columns: number, arrangement: Arrangement): Float32Array {
  const both = new Float32Array(gate.length + up.length);
  if (arrangement === 'concatenated') {
    both.set(gate);
    both.set(up, gate.length);
    return both;
  }
  for (let start = 0; start < gate.length; start += columns) {
    both.set(gate.subarray(start, start + columns), 2 * start);
    both.set(up.subarray(start, start + columns), 2 * start + columns);
  }
  return both;
}

/** Storages whose rows can be read alone. */
type RowStorage = Extract<WeightSource, { storage: 'plain' | 'block-quantized' }>;

/** Some rows of a stored matrix, as byte ranges. */
function rowsOf(weight: RowStorage, from: number, to: number, columns: number): RowStorage {
  if (weight.storage === 'plain') {
    return { storage: 'plain', entry: rowRange(weight.entry, from, to, columns) };
  }
  const part = (entry: TensorEntry) =>
    rowRange(entry, from, to, entry.byteLength / weight.rows / dtypeBytes[entry.dtype]);
  return {
    ...weight,
    rows: to - from,
    codes: part(weight.codes),
    scales: part(weight.scales),
    zeroPoints: weight.zeroPoints === undefined ? undefined : part(weight.zeroPoints),
  };
}

function rowRange(entry: TensorEntry, from: number, to: number, columns: number): TensorEntry {
  const name = `${entry.name}[${from}:${to}]`;
  return sliceTensor(entry, name, from * columns * dtypeBytes[entry.dtype], [to - from, columns]);
}
