let language = 'en';

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB'] as const;
const formats = new Map<string, Intl.NumberFormat>();

/** Chooses the language that numbers and times are written in, by its BCP 47 tag; English for a tag that is none. */
export function setNumberLanguage(tag: string): void {
  try {
    language = Intl.getCanonicalLocales(tag)[0] ?? 'en';
  } catch {
    language = 'en';
  }
}

function format(value: number, options: Intl.NumberFormatOptions): string {
  const key = JSON.stringify([language, options]);
  let formatter = formats.get(key);
  if (formatter === undefined) {
    formatter = new Intl.NumberFormat(language, options);
    formats.set(key, formatter);
  }
  return formatter.format(value);
}

/** Day and time of an ISO time, short; a text that is no time stays as it is. */
export function formatTime(iso: string): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime())
    ? iso
    : time.toLocaleString(language, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
}

/** A whole number with its grouping. */
export function formatInteger(value: number): string {
  return format(value, { maximumFractionDigits: 0 });
}

/** A count in short form: 28100000 is "28.1M". */
export function formatCount(value: number): string {
  return format(value, { notation: 'compact', maximumSignificantDigits: 3 });
}

/** A size in decimal units: 56200000 is "56.2 MB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${format(value, { maximumSignificantDigits: 3 })}\u00a0${byteUnits[unit] ?? 'B'}`;
}

/** A measured value with so many significant digits; very small ones in scientific notation. */
export function formatMeasured(value: number, digits = 3): string {
  if (value !== 0 && Math.abs(value) < 1e-4) {
    return format(value, { notation: 'scientific', maximumSignificantDigits: digits });
  }
  return format(value, { minimumSignificantDigits: value === 0 ? 1 : digits, maximumSignificantDigits: digits });
}

/** A value with exactly so many decimals. */
export function formatDecimals(value: number, decimals: number): string {
  return format(value, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** A share (0.977) as a percentage ("97.7%"). */
export function formatShare(value: number, decimals = 1): string {
  return format(value, { style: 'percent', minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** A relative change (0.019) as a signed percentage ("+1.9%"). */
export function formatSignedShare(value: number, decimals = 1): string {
  return format(value, {
    style: 'percent',
    signDisplay: 'exceptZero',
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}

/** A signed number with so many decimals, for differences. */
export function formatSigned(value: number, decimals: number): string {
  return format(value, {
    signDisplay: 'exceptZero',
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}
