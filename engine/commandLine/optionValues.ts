import { InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { TunerError } from '../protocol/errors';

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

export function nonNegativeNumber(text: string): number {
  return checked(text, (value) => Number.isFinite(value) && value >= 0, 'a number of at least 0');
}

/** A part of a whole, which is never reached: at least 0, below 1. */
export function share(text: string): number {
  return checked(text, (value) => value >= 0 && value < 1, 'a number of at least 0 and below 1');
}

/** One number for all MoE layers, or one per layer separated by commas. */
export function activeExpertsList(text: string): number | number[] {
  const values = text.split(',').map((part) => positiveInteger(part.trim()));
  return values.length === 1 ? values[0]! : values;
}

/** Layer indices separated by commas. */
export function layerList(text: string): number[] {
  return text.split(',').map((part) => nonNegativeInteger(part.trim()));
}

function checked(text: string, accepts: (value: number) => boolean, what: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!accepts(value)) {
    throw new InvalidArgumentError(`It must be ${what}.`);
  }
  return value;
}

/**
 * Options as the parameters of a job, with defaults filled in.
 * @throws TunerError `usage` naming the option whose value is impossible
 */
export function parameters<Schema extends z.ZodType>(schema: Schema, options: unknown): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) {
    return parsed.data;
  }
  const issue = parsed.error.issues[0];
  const name = String(issue?.path[0] ?? '').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new TunerError('usage', `The value is impossible: ${issue?.message ?? ''}.`, {
    place: `--${name}`,
    wayOut: 'Run with --help for the options.',
  });
}
