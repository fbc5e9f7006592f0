import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { TunerError } from '../protocol/errors';
import { onnxruntime } from './onnxruntime';
import { mappedOptions, preparedOptions, runtimeError, toHost, type Results, type RuntimeOptions } from './session';

/** Names by which an exported decoder takes and gives its cache. */
const cachePairs: readonly { readonly past: RegExp; readonly present: string }[] = [
  { past: /^past_key_values\./, present: 'present.' },
  { past: /^past_conv\./, present: 'present_conv.' },
];

const presentName = /^present(_conv)?\./;

/** Logits of one run, `[batch, time, vocabulary]`. */
export interface DecoderLogits {
  readonly values: Float32Array;
  readonly time: number;
  readonly vocabulary: number;
  /** Outputs of the graph that are neither logits nor cache. */
  readonly others: Results;
}

/**
 * A decoder with a key/value cache that was exported to a file, loaded as other programs load it: weights prepared for speed. The
 * cache stays in native memory between runs. Dispose it.
 */
export class DecoderSession {
  private cache = new Map<string, Tensor>();
  private position = 0;

  private constructor(
    private readonly session: InferenceSession,
    private readonly batch: number,
  ) {
    this.reset();
  }

  /** @param file path of `model.onnx` @throws TunerError `runtimeFailed` */
  static async open(file: string, batch: number, options: RuntimeOptions): Promise<DecoderSession> {
    try {
      const session = await onnxruntime().InferenceSession.create(file, {
        ...preparedOptions(options),
        extra: { session: { intra_op: { allow_spinning: '0' } } },
      });
      return new DecoderSession(session, batch);
    } catch (error) {
      throw failure(error, 'The exported model could not be loaded.', file);
    }
  }

  /**
   * A decoder graph whose weights stay in the files it points at: they are mapped, and converted where an operator needs them.
   * Slower than {@link open}, but nothing is written and hardly any memory is taken.
   * @throws TunerError `runtimeFailed`
   */
  static async openMapped(graph: Uint8Array, batch: number, options: RuntimeOptions): Promise<DecoderSession> {
    try {
      return new DecoderSession(await onnxruntime().InferenceSession.create(graph, mappedOptions(options)), batch);
    } catch (error) {
      throw failure(error, 'The decoder could not be loaded.');
    }
  }

  /** Tokens that are in the cache, per sequence. */
  get length(): number {
    return this.position;
  }

  /** Empties the cache. */
  reset(): void {
    const { Tensor } = onnxruntime();
    this.position = 0;
    this.cache = new Map(
      this.session.inputMetadata.flatMap((input) => {
        const pair = cachePairs.find(({ past }) => past.test(input.name));
        if (pair === undefined || !input.isTensor) {
          return [];
        }
        const shape = input.shape.map((size, axis) => (axis === 0 ? this.batch : typeof size === 'number' ? size : 0));
        const count = shape.reduce((product, size) => product * size, 1);
        return [[input.name, new Tensor('float32', new Float32Array(count), shape)] as const];
      }),
    );
  }

  /**
   * Appends tokens to every sequence and returns the logits after each.
   * @param ids int64 `[batch, time]`
   * @throws TunerError `runtimeFailed`
   */
  async append(ids: BigInt64Array): Promise<DecoderLogits> {
    const { Tensor } = onnxruntime();
    const { batch } = this;
    const time = ids.length / batch;
    const total = this.position + time;
    const positions = BigInt64Array.from(ids, (_, at) => BigInt(this.position + (at % time)));
    const feeds = {
      ...Object.fromEntries(this.cache),
      input_ids: new Tensor('int64', ids, [batch, time]),
      position_ids: new Tensor('int64', positions, [batch, time]),
      attention_mask: new Tensor('int64', new BigInt64Array(batch * total).fill(1n), [batch, total]),
    };
    let results: InferenceSession.OnnxValueMapType;
    try {
      results = await this.session.run(feeds);
    } catch (error) {
      throw failure(error, 'The exported model failed while it ran.');
    }
    this.cache = new Map(
      [...this.cache.keys()].map((name) => {
        const { past, present } = cachePairs.find((pair) => pair.past.test(name))!;
        return [name, results[name.replace(past, present)] as Tensor];
      }),
    );
    this.position = total;
    const logits = results.logits as Tensor;
    const others = Object.entries(results).filter(([name]) => name !== 'logits' && !presentName.test(name));
    return {
      values: logits.data as Float32Array,
      time,
      vocabulary: logits.dims[2]!,
      others: Object.fromEntries(others.map(([name, value]) => [name, toHost(name, value)])),
    };
  }

  async dispose(): Promise<void> {
    this.cache.clear();
    await this.session.release();
  }
}

/** The failure of the runtime with its kind (memory, device, else), and the file it was about. */
function failure(error: unknown, what: string, file?: string): TunerError {
  const { code, message, details } = runtimeError(error, what);
  return new TunerError(code, message, file === undefined ? details : { ...details, file }, { cause: error });
}
