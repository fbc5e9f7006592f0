import { expect, test } from 'vitest';
import { inspect } from '../../engine/jobs/inspect';
import { writeLargeCheckpoint } from '../support/largeCheckpoint';
import { temporaryFolder } from '../support/temporaryFolder';

test('60 layers of 256 experts are inspected from their headers', async () => {
  const folder = await temporaryFolder();
  const tensors = writeLargeCheckpoint(folder, { layers: 60, experts: 256, hidden: 32, width: 16 });
  expect(tensors).toBeGreaterThan(45_000);
  const summary = await inspect(folder);
  expect(summary.layers.filter(({ moe, experts }) => moe && experts === 256)).toHaveLength(60);
});
