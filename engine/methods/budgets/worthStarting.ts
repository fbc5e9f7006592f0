/** A candidate whose predicted loss is this many times the smallest is none that a search would come from. */
const hopeless = 1.5;

/** Allocations that a measured search may begin with: those that the table does not put far behind the best of them. */
export function worthStarting<Allocation extends readonly number[]>(
  allocations: readonly Allocation[],
  predict: (allocation: Allocation) => number,
): Allocation[] {
  const limit = hopeless * Math.min(...allocations.map(predict));
  return allocations.filter((allocation) => predict(allocation) <= limit);
}
