import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openModel } from '../../engine/jobs/openModel';
import { openPlannedModel } from '../../engine/jobs/plannedModel';
import { quietJob } from '../../engine/measure/jobContext';
import { planVersion } from '../../engine/protocol/plan';
import { temporaryFolder } from '../support/temporaryFolder';

const sample = path.resolve(import.meta.dirname, '../../media/sample');
/** Weights of the routed experts of the sample: 8 layers of 16 experts of three 64 × 128 matrices. */
const weights = 8 * 16 * 3 * 64 * 128;

async function bytesOf(sections: object): Promise<number> {
  const plan = path.join(await temporaryFolder(), 'written-by-hand.moeplan.json');
  await writeFile(plan, JSON.stringify({ version: planVersion, ...sections }));
  const planned = await openPlannedModel(await openModel(sample), { plan }, quietJob());
  await planned.dispose();
  return planned.expertBytes;
}

const quantize = { method: 'rtn', scope: 'experts', group: 16, symmetric: true, seed: 0, options: {} };

test('what the experts of a plan weigh is counted from its bits, whoever wrote them', async () => {
  expect(await bytesOf({ activeExperts: Array(8).fill(2) })).toBe(weights * 2);
  // A float16 scale for 16 weights is one bit more for each.
  expect(await bytesOf({ quantize: { ...quantize, layers: Array(8).fill(4) } })).toBe((weights * 5) / 8);
  const half = [...Array(4).fill(4), ...Array(4).fill(16)];
  expect(await bytesOf({ quantize: { ...quantize, layers: half } })).toBe((weights / 2) * (5 / 8 + 2));
  const onlyDown = Array(8).fill({ gate: 16, up: 16, down: 2 });
  expect(await bytesOf({ quantize: { ...quantize, layers: onlyDown } })).toBeCloseTo(
    (weights / 3) * (3 / 8) + ((weights * 2) / 3) * 2,
    3,
  );
});
