const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB'] as const;
const countUnits = ['', ' k', ' M', ' B', ' T'] as const;

function scaled(value: number, units: readonly string[]): { value: number; unit: string } {
  let remaining = value;
  let unit = 0;
  while (Math.abs(remaining) >= 999.5 && unit < units.length - 1) {
    remaining /= 1000;
    unit += 1;
  }
  return { value: remaining, unit: units[unit] ?? '' };
}

/** Three significant digits, without exponent where people can read it: 0.0312, 4.21, 137. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) {
    return String(value);
  }
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e6)) {
    return value.toExponential(2);
  }
  return String(Number(value.toPrecision(magnitude >= 100 ? Math.ceil(Math.log10(magnitude + 1)) : 3)));
}

/** Decimal bytes: 8.01 MB. */
export function formatBytes(bytes: number): string {
  const { value, unit } = scaled(bytes, byteUnits);
  return `${formatNumber(value)} ${unit}`;
}

/** Parameter counts: 28.3 M, 1.24 B. */
export function formatCount(count: number): string {
  const { value, unit } = scaled(count, countUnits);
  return `${formatNumber(value)}${unit}`;
}

/** A share between 0 and 1 as percent with one decimal: 97.7 %. */
export function formatPercent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** A perplexity with the digits that differences of plans show in: 3.142. */
export function formatPerplexity(perplexity: number): string {
  return perplexity >= 1000 ? formatNumber(perplexity) : perplexity.toFixed(3);
}
