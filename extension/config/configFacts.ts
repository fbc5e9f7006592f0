import { findNodeAtLocation, parseTree, type Node } from 'jsonc-parser';
import type { TextSpan } from '../common/findings';
import { configKeyAliases, configSections, type ConfigFactName } from './expertKeys';

/** One key of a JSON document with its value and the places of both. */
export interface ConfigEntry {
  /** Dotted path, for example `text_config.num_experts`. */
  readonly path: string;
  readonly value: unknown;
  /** The whole `"key": value` pair. */
  readonly property: TextSpan;
  readonly valueSpan: TextSpan;
  /** The numbers of a list, one per layer, with their places. */
  readonly numbers?: readonly { readonly value: number; readonly span: TextSpan }[];
}

export type ConfigFacts = Readonly<Partial<Record<ConfigFactName, ConfigEntry>>>;

/** Larger files are no model configurations: they get no decorations. */
export const largestConfigCharacters = 1_000_000;

function entryOf(node: Node, path: readonly string[]): ConfigEntry | undefined {
  const property = node.parent;
  if (property?.type !== 'property') {
    return undefined;
  }
  const value: unknown = node.type === 'array' || node.type === 'object' ? undefined : node.value;
  return {
    path: path.join('.'),
    value,
    property: { offset: property.offset, length: property.length },
    valueSpan: { offset: node.offset, length: node.length },
    ...(node.type === 'array' ? { numbers: numbersOf(node) } : {}),
  };
}

function numbersOf({ children = [] }: Node): ConfigEntry['numbers'] & object {
  return children.flatMap(({ value, offset, length }) => {
    return typeof value === 'number' ? [{ value, span: { offset, length } }] : [];
  });
}

/** The entry at a dotted path of a JSON text, also where the rest of the text is incomplete. */
export function findConfigEntry(text: string, path: string): ConfigEntry | undefined {
  const root = parseTree(text);
  const segments = path.split('.');
  const node = root && findNodeAtLocation(root, segments);
  return node && entryOf(node, segments);
}

function findFact(root: Node, name: ConfigFactName): ConfigEntry | undefined {
  for (const section of configSections) {
    for (const alias of configKeyAliases[name]) {
      const path = [...section, alias];
      const node = findNodeAtLocation(root, path);
      const entry = node && entryOf(node, path);
      // Some configurations carry the key of a sibling family with null.
      if (entry !== undefined && entry.value !== null) {
        return entry;
      }
    }
  }
  return undefined;
}

/** The facts about experts that a `config.json` text states, with their places; parses leniently and asks nobody. */
export function readConfigFacts(text: string): ConfigFacts {
  if (text.length > largestConfigCharacters) {
    return {};
  }
  const root = parseTree(text);
  if (root?.type !== 'object') {
    return {};
  }
  const facts: Partial<Record<ConfigFactName, ConfigEntry>> = {};
  for (const name of Object.keys(configKeyAliases) as ConfigFactName[]) {
    const entry = findFact(root, name);
    if (entry !== undefined) {
      facts[name] = entry;
    }
  }
  return facts;
}

/** Whether the facts look like a mixture-of-experts model: the cheap check before the engine is asked. */
export function looksLikeMixtureOfExperts(facts: ConfigFacts): boolean {
  const experts = facts.experts?.value;
  return typeof experts === 'number' && experts > 1;
}
