import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { mostActiveExperts } from '../../engine/families/mostActiveExperts';
import { assertActiveExperts } from '../../engine/jobs/activeExperts';
import { openResolved } from '../support/engineRun';

const golden = (name: string) => path.join(import.meta.dirname, '../golden/families', name);

describe('most active experts of a token', () => {
  test.each(['mixtral', 'olmoe', 'qwen3_moe'])('%s: every expert', async (name) => {
    for (const block of (await openResolved(golden(name))).blocks) {
      expect(mostActiveExperts(block)).toBe(block.experts.length);
    }
  });

  test.each(['deepseek_v2', 'deepseek_v3'])('%s: those of the kept groups', async (name) => {
    const [block] = (await openResolved(golden(name))).blocks;
    const groups = block!.router.groups ?? { count: 4, kept: 2, score: 'max' as const, fill: 'zero' as const };
    const grouped = { ...block!, router: { ...block!.router, groups } };
    const most = (grouped.experts.length / groups.count) * groups.kept;
    expect(most).toBeLessThan(grouped.experts.length);
    expect(() => assertActiveExperts(grouped, most)).not.toThrow();
    expect(() => assertActiveExperts(grouped, most + 1)).toThrow(`cannot have ${most + 1} active experts`);
  });

  test('phimoe: its own number', async () => {
    const [block] = (await openResolved(golden('phimoe'))).blocks;
    expect(mostActiveExperts(block!)).toBe(block!.activeExperts);
  });
});
