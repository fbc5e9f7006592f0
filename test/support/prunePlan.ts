import { openModel } from '../../engine/jobs/openModel';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { SeededRandom } from '../../engine/numeric/seededRandom';

/** A plan that keeps some experts of every layer, chosen at random but evenly over the groups of the router. */
export async function randomPrunePlan(
  checkpoint: string,
  keepShare: number,
  seed = 1,
): Promise<{ version: 1; prune: { method: string; keep: number[][]; seed: number } }> {
  const { resolved } = await openModel(checkpoint);
  const random = new SeededRandom(seed);
  const keep = resolved.blocks.map((block) => keptOf(block, keepShare, random));
  return { version: 1, prune: { method: 'random', keep, seed } };
}

function keptOf({ experts, router }: MoeBlockSpec, share: number, random: SeededRandom): number[] {
  const groups = router.groups?.count ?? 1;
  const size = experts.length / groups;
  const least = router.groups?.score === 'top2-sum' ? 2 : 1;
  const count = Math.max(least, Math.round(size * share));
  return Array.from({ length: groups }, (_, group) =>
    random
      .shuffle(Array.from({ length: size }, (_, expert) => group * size + expert))
      .slice(0, count)
      .sort((left, right) => left - right),
  ).flat();
}
