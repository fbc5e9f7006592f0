/** Element types of the safetensors format that can occur in checkpoints. */
export const dtypeBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type Dtype = keyof typeof dtypeBytes;

/** A tensor, or a contiguous part of one, as a byte range of a file. Nothing is read until it is asked for. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Absolute path with symbolic links resolved. */
  readonly file: string;
  /** Position of the first byte in the file (header included). */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** The parsed `config.json`, unvalidated beyond being an object: families read it through alias lists. */
export type ConfigObject = Readonly<Record<string, unknown>>;

/** An opened checkpoint folder: headers only. */
export interface Checkpoint {
  /** Absolute path of the folder as the person gave it. */
  readonly folder: string;
  readonly configFile: string;
  readonly config: ConfigObject;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Bytes of all weight files together. */
  readonly bytes: number;
  /** Path of tokenizer.json, when there is one. */
  readonly tokenizerFile: string | undefined;
}
