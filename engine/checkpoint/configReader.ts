import { TunerError } from '../protocol/errors';
import { isJsonObject } from './jsonText';
import type { ConfigObject } from './types';

/** A value of the config and the dotted path it was found under, so that messages and editors can point at its line. */
export interface ConfigValue<Value> {
  readonly value: Value;
  readonly key: string;
}

/** Bounds of a number, both inclusive. */
export interface NumberRange {
  readonly minimum?: number;
  readonly maximum?: number;
}

/** How one type of value is recognised; `expected` completes the sentence "The value is not …". */
interface ValueType<Value> {
  readonly expected: string;
  readonly matches: (value: unknown) => value is Value;
}

const isInteger = (value: unknown): value is number => Number.isSafeInteger(value);

const types = {
  integer: { expected: 'an integer', matches: isInteger },
  number: {
    expected: 'a finite number',
    matches: (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value),
  },
  boolean: { expected: 'true or false', matches: (value: unknown): value is boolean => typeof value === 'boolean' },
  string: { expected: 'a text', matches: (value: unknown): value is string => typeof value === 'string' },
  integerList: {
    expected: 'a list of integers',
    matches: (value: unknown): value is number[] => Array.isArray(value) && value.every(isInteger),
  },
} as const satisfies Record<string, ValueType<unknown>>;

/**
 * Typed access to a config through lists of alias keys, because families name the same fact differently. A key is a
 * dotted path (`text_config.num_experts`); the first present alias wins; null counts as absent, as in the reference
 * library. Aliases that are both present must agree.
 * @throws TunerError from every getter: `malformedConfig` for a missing key or a wrong type, `contradictoryConfig` for
 * aliases with different values; both name the file and the keys
 */
export class ConfigReader {
  constructor(
    private readonly config: ConfigObject,
    private readonly file: string,
    private readonly prefix = '',
    private readonly defaults: ConfigObject = {},
  ) {}

  /**
   * A reader of the same config in which keys that the file leaves out have the values of the reference library.
   * @param defaults values by dotted key
   * @param aliases groups of keys for one fact: a default gives way to every alias that the file states, null included
   */
  withDefaults(defaults: ConfigObject, aliases: readonly (readonly string[])[]): ConfigReader {
    const missing = Object.entries(defaults).filter(
      ([key]) => !(aliases.find((group) => group.includes(key)) ?? [key]).some((alias) => this.states(alias)),
    );
    return new ConfigReader(this.config, this.file, this.prefix, Object.fromEntries(missing));
  }

  integer(keys: readonly string[], range: NumberRange = {}): ConfigValue<number> {
    return this.inRange(this.required(keys, types.integer), range);
  }

  optionalInteger(keys: readonly string[], range: NumberRange = {}): ConfigValue<number> | undefined {
    const found = this.find(keys, types.integer);
    return found === undefined ? undefined : this.inRange(found, range);
  }

  number(keys: readonly string[], range: NumberRange = {}): ConfigValue<number> {
    return this.inRange(this.required(keys, types.number), range);
  }

  optionalNumber(keys: readonly string[], range: NumberRange = {}): ConfigValue<number> | undefined {
    const found = this.find(keys, types.number);
    return found === undefined ? undefined : this.inRange(found, range);
  }

  boolean(keys: readonly string[]): ConfigValue<boolean> {
    return this.required(keys, types.boolean);
  }

  optionalBoolean(keys: readonly string[]): ConfigValue<boolean> | undefined {
    return this.find(keys, types.boolean);
  }

  string(keys: readonly string[]): ConfigValue<string> {
    return this.required(keys, types.string);
  }

  optionalString(keys: readonly string[]): ConfigValue<string> | undefined {
    return this.find(keys, types.string);
  }

  integerList(keys: readonly string[]): ConfigValue<readonly number[]> {
    return this.required(keys, types.integerList);
  }

  optionalIntegerList(keys: readonly string[]): ConfigValue<readonly number[]> | undefined {
    return this.find(keys, types.integerList);
  }

  /** Whether the file itself has the key, be it with null. */
  states(key: string): boolean {
    const at = key.lastIndexOf('.');
    const parent = at === -1 ? this.config : this.inFile(key.slice(0, at));
    return isJsonObject(parent) && Object.hasOwn(parent, key.slice(at + 1));
  }

  /** Whether the key is present, or has a default, and is not null. */
  has(key: string): boolean {
    return this.lookUp(key) !== undefined;
  }

  /** The dotted path of a key from the top of the file, whether it is present or not. */
  pathOf(key: string): string {
    return `${this.prefix}${key}`;
  }

  /** The value under a key as it stands, for facts that have a structure of their own; undefined when absent or null. */
  raw(key: string): unknown {
    return this.lookUp(key);
  }

  /** A reader of the object under a dotted path, whose keys and messages keep the full path; undefined when absent. */
  sub(path: string): ConfigReader | undefined {
    const value = this.lookUp(path);
    if (value === undefined) {
      return undefined;
    }
    if (!isJsonObject(value)) {
      throw this.malformed(path, 'The value is not an object.');
    }
    return new ConfigReader(value, this.file, `${this.prefix}${path}.`);
  }

  private required<Value>(keys: readonly string[], type: ValueType<Value>): ConfigValue<Value> {
    const found = this.find(keys, type);
    if (found === undefined) {
      const aliases = keys.length > 1 ? ` (also known as ${keys.slice(1).join(', ')})` : '';
      throw this.malformed(keys[0] ?? '', `The config lacks this key${aliases}.`);
    }
    return found;
  }

  private find<Value>(keys: readonly string[], type: ValueType<Value>): ConfigValue<Value> | undefined {
    const stated = keys.filter((key) => this.states(key));
    let found: ConfigValue<Value> | undefined;
    for (const key of stated.length > 0 ? stated : keys) {
      const value = this.lookUp(key);
      if (value === undefined) {
        continue;
      }
      if (!type.matches(value)) {
        throw this.malformed(key, `The value ${shorten(value)} is not ${type.expected}.`);
      }
      if (found !== undefined && JSON.stringify(found.value) !== JSON.stringify(value)) {
        const message = `Two keys for the same fact disagree: ${shorten(found.value)} and ${shorten(value)}.`;
        throw new TunerError('contradictoryConfig', message, {
          file: this.file,
          place: `${found.key}, ${this.prefix}${key}`,
          wayOut: 'Make both the same, or remove the wrong one.',
        });
      }
      found ??= { value, key: `${this.prefix}${key}` };
    }
    return found;
  }

  private inRange(
    found: ConfigValue<number>,
    { minimum = -Infinity, maximum = Infinity }: NumberRange,
  ): ConfigValue<number> {
    if (found.value < minimum || found.value > maximum) {
      const bound = found.value < minimum ? `at least ${minimum}` : `at most ${maximum}`;
      throw this.malformedAt(found.key, `The value ${found.value} must be ${bound}.`);
    }
    return found;
  }

  private lookUp(key: string): unknown {
    const stated = this.states(key) || !Object.hasOwn(this.defaults, key);
    return (stated ? this.inFile(key) : this.defaults[key]) ?? undefined;
  }

  private inFile(key: string): unknown {
    let value: unknown = this.config;
    for (const part of key.split('.')) {
      if (!isJsonObject(value) || !Object.hasOwn(value, part)) {
        return undefined;
      }
      value = value[part];
    }
    return value ?? undefined;
  }

  private malformed(key: string, message: string): TunerError {
    return this.malformedAt(`${this.prefix}${key}`, message);
  }

  private malformedAt(place: string, message: string): TunerError {
    return new TunerError('malformedConfig', message, { file: this.file, place, wayOut: 'Correct the config.' });
  }
}

function shorten(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
