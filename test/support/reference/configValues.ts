import { z } from 'zod';

const objectSchema = z.record(z.string(), z.unknown());

/** Typed reading of a `config.json`: a wrong type is an error, a missing or null key takes the fallback. */
export class ConfigValues {
  private readonly values: Record<string, unknown>;

  constructor(values: unknown) {
    this.values = objectSchema.parse(values);
  }

  has(key: string): boolean {
    return this.values[key] !== undefined && this.values[key] !== null;
  }

  number(key: string, fallback?: number): number {
    return this.read(key, z.number(), fallback);
  }

  optionalNumber(key: string): number | undefined {
    return this.has(key) ? this.number(key) : undefined;
  }

  /** The first of several aliases that is present. */
  firstNumber(keys: readonly string[]): number {
    const key = keys.find((candidate) => this.has(candidate));
    if (key === undefined) throw new Error(`config.json has none of ${keys.join(', ')}.`);
    return this.number(key);
  }

  flag(key: string, fallback: boolean): boolean {
    return this.read(key, z.boolean(), fallback);
  }

  text(key: string, fallback?: string): string {
    return this.read(key, z.string(), fallback);
  }

  optionalNumbers(key: string): number[] | undefined {
    return this.has(key) ? this.read(key, z.array(z.number())) : undefined;
  }

  optionalTexts(key: string): string[] | undefined {
    return this.has(key) ? this.read(key, z.array(z.string())) : undefined;
  }

  /** A scalar, or one entry per layer. */
  perLayer(key: string, layer: number): number {
    const value = this.read(key, z.union([z.number(), z.array(z.number())]));
    return typeof value === 'number' ? value : value[layer]!;
  }

  section(key: string): ConfigValues | undefined {
    return this.has(key) ? new ConfigValues(this.values[key]) : undefined;
  }

  private read<Value>(key: string, schema: z.ZodType<Value>, fallback?: Value): Value {
    if (this.has(key)) return schema.parse(this.values[key]);
    if (fallback === undefined) throw new Error(`config.json has no ${key}.`);
    return fallback;
  }
}
