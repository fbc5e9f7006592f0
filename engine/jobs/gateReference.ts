import { renormalises } from '../families/renormalises';
import type { MoeBlockSpec } from '../families/specification';

/** Why the routers have no denominator to choose a reference for; undefined where they have. */
export function gateReferenceRefusal(blocks: readonly MoeBlockSpec[]): string | undefined {
  const other = blocks.find(({ router }) => !renormalises(router.gates) || router.sparseMixer !== undefined);
  return other && `The router of decoder layer ${other.layer} does not divide its gates by their sum.`;
}
