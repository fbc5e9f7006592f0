import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { chooseBudgets, layersOfProfile } from '../../engine/methods/budgets/chooseBudgets';
import { budgetTable, totalLoss } from '../../engine/methods/budgets/lossTable';
import { profileOf, sum } from '../support/budgetTables';
import { sharedPath } from '../support/sharedMaterial';

const file = sharedPath('reference/text-pytorch.json');
const referenceSchema = z.object({
  lexi_gaussian: z.object({ D: z.array(z.array(z.number())) }),
  budgets: z.record(z.string(), z.object({ lexi_raw: z.object({ ks: z.array(z.number()) }) })),
});

describe.skipIf(file === undefined)('published objective on the reference table', () => {
  const reference = file === undefined ? undefined : referenceSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  const rows = reference?.lexi_gaussian.D ?? [];

  it.each([84, 72, 60, 48, 36, 24])('gives the reference allocation of LExI at a total of %i', (total) => {
    const profile = profileOf(rows);
    const chosen = chooseBudgets({
      layers: layersOfProfile(profile),
      profile,
      objective: 'lexi',
      solver: 'exact',
      total,
      minimumActive: 1,
      seed: 0,
    });
    const expected = reference?.budgets[String(total)]?.lexi_raw.ks ?? [];
    expect(sum(expected)).toBe(total);
    const table = budgetTable(rows.map((loss, layer) => ({ layer, loss })));
    // Another allocation is right only when it is a tie.
    if (JSON.stringify(chosen.activeExperts) !== JSON.stringify(expected)) {
      expect(chosen.predicted).toBe(totalLoss(table, expected));
    }
    expect(chosen.predicted).toBeLessThan(chosen.uniformPredicted ?? 0);
  });
});
