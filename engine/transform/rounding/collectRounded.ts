import type { RoundedParts } from './roundedParts';
import { leaseRounder } from './roundingPool';

/** The first form of a rounded weight in memory; errors as `Rounder.run`. */
export async function collectRounded(parts: RoundedParts): Promise<Uint8Array> {
  const bytes = new Uint8Array(parts.byteLengths[0]!);
  const rounder = leaseRounder();
  try {
    const tasks = Array.from({ length: parts.count }, async (_, at) => {
      const [result] = await rounder.run(parts.task(at));
      bytes.set(result!.bytes, parts.offset(at, 0));
    });
    const failed = (await Promise.allSettled(tasks)).find((end) => end.status === 'rejected');
    if (failed !== undefined) {
      throw failed.reason;
    }
  } finally {
    await rounder.release();
  }
  return bytes;
}
