import type { MoeBlockSpec } from './specification';

/**
 * Most experts a token can have: the sparse mixer always takes its own number, and routers with groups choose among the experts of
 * the kept groups only.
 */
export function mostActiveExperts({ router, experts, activeExperts }: MoeBlockSpec): number {
  if (router.sparseMixer !== undefined) {
    return activeExperts;
  }
  const { groups } = router;
  return groups === undefined ? experts.length : (experts.length / groups.count) * groups.kept;
}
