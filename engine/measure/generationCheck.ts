import { DecoderSession, type DecoderLogits } from '../runtime/decoderSession';
import { TunerError } from '../protocol/errors';
import { step, type JobContext } from './jobContext';
import { allFinite } from './nonFinite';

/** Longest time that loading, or one run of a few tokens, may take in seconds. */
const loadDeadlineSeconds = 1800;
const runDeadlineSeconds = 600;

/** Tokens of the check: the first ones at once, the last one through the cache. */
const checkedTokens = BigInt64Array.of(3n, 5n, 7n, 2n);
const tolerance = 1e-2;

/**
 * Loads an exported decoder and runs a few tokens: logits must be numbers, and those of the last token must be the same whether it
 * comes with the others or after them.
 * @throws TunerError `writeFailed` naming what differs, `runtimeFailed`
 */
export async function assertCacheAgrees(file: string, job: JobContext): Promise<void> {
  const session = await step(job, 'loading the written model', loadDeadlineSeconds, () =>
    DecoderSession.open(file, 1, { provider: 'cpu', threads: 0 }),
  );
  try {
    const run = (ids: BigInt64Array) => step(job, 'checking', runDeadlineSeconds, () => session.append(ids));
    const together = lastLogits(await run(checkedTokens));
    session.reset();
    await run(checkedTokens.subarray(0, -1));
    const apart = lastLogits(await run(checkedTokens.subarray(-1)));
    const scale = together.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const difference = together.reduce((most, value, at) => Math.max(most, Math.abs(value - apart[at]!)), 0);
    if (!allFinite(together) || !allFinite(apart) || difference > tolerance * scale) {
      throw new TunerError(
        'writeFailed',
        `The written model was not accepted: its cache changes logits by ${difference}.`,
        {
          file,
          wayOut: 'Evaluate the checkpoint first: its weights may hold NaN or infinity. Report this if they do not.',
        },
      );
    }
  } finally {
    await session.dispose();
  }
}

/** Logits after the last token of the first sequence. */
export function lastLogits({ values, time, vocabulary }: DecoderLogits): Float32Array {
  return values.subarray((time - 1) * vocabulary, time * vocabulary);
}
