/** Sums divided by how many tokens they are over; 0 where an expert got no token, so that it goes first. */
export function perToken(sums: Float64Array, counts: Float64Array): Float64Array {
  return sums.map((sum, expert) => (counts[expert]! > 0 ? sum / counts[expert]! : 0));
}
