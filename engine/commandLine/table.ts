/** A table of text for people: numbers to the right, words to the left. */
export function textTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]!.length)));
  const numeric = header.map((_, at) =>
    rows.every((row) => /^[-+]?[\d.,]*( ?(%|ms|µs|s|[kMG]?i?B))?$|^–$/.test(row[at]!)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => (numeric[at] === true ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
      .join('  ')
      .trimEnd();
  return [line(header), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

/** A byte count with a unit. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  return `${(count / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]!}`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** Four significant digits, without exponents for everyday sizes. */
export function significant(value: number): string {
  return Math.abs(value) >= 1e-4 || value === 0 ? Number(value.toPrecision(4)).toString() : value.toExponential(2);
}
