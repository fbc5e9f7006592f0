import { InvalidArgumentError } from 'commander';

/** Option parsers: each gives a number or throws what commander prints as wrong usage. */

export function positiveInteger(text: string): number {
  return checked(text, (value) => Number.isSafeInteger(value) && value > 0, 'a whole number above 0');
}

export function nonNegativeInteger(text: string): number {
  return checked(text, (value) => Number.isSafeInteger(value) && value >= 0, 'a whole number of at least 0');
}

export function positiveNumber(text: string): number {
  return checked(text, (value) => Number.isFinite(value) && value > 0, 'a number above 0');
}

/** One number for all MoE layers, or one per layer separated by commas. */
export function activeExpertsList(text: string): number | number[] {
  const values = text.split(',').map((part) => positiveInteger(part.trim()));
  return values.length === 1 ? values[0]! : values;
}

function checked(text: string, accepts: (value: number) => boolean, what: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!accepts(value)) {
    throw new InvalidArgumentError(`It must be ${what}.`);
  }
  return value;
}
