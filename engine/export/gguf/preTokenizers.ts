import type { ConfigObject } from '../../checkpoint/types';
import { isJsonObject } from '../../checkpoint/jsonText';

/** English contractions as the patterns spell them. */
const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const endings = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

/**
 * How byte-level tokenizers cut texts into words, by the patterns of their `tokenizer.json` in order, and the names under which
 * llama.cpp does the same (`tokenizer.ggml.pre`, src/llama-vocab.cpp). `bytes` stands for the pattern of GPT-2 that is built into the
 * byte-level step, `digits` for splitting off single digits.
 */
const preTokenizers: readonly {
  readonly name: string;
  readonly steps: readonly string[];
  readonly wholeWords?: boolean;
}[] = [
  { name: 'gpt-2', steps: ['bytes'] },
  { name: 'starcoder', steps: ['digits', 'bytes'] },
  {
    name: 'qwen2',
    steps: [String.raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|${endings}`],
  },
  {
    name: 'llama-bpe',
    steps: [String.raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|${endings}`],
    wholeWords: true,
  },
  {
    name: 'dbrx',
    steps: [String.raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|${endings}`],
    wholeWords: false,
  },
  {
    name: 'gpt-4o',
    steps: [
      [
        String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+${contractions}?`,
        String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*${contractions}?`,
        String.raw`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
      ].join('|'),
    ],
  },
  {
    name: 'deepseek-v3',
    steps: [
      String.raw`\p{N}{1,3}`,
      '[一-龥\u3040-ゟ゠-ヿ]+',
      String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ],
  },
];

/**
 * The name of a pre-tokenizer in GGUF files, found by its patterns.
 * @param definition content of `tokenizer.json`
 * @returns undefined where llama.cpp has none like it
 */
export function preTokenizerName(definition: ConfigObject): string | undefined {
  const steps = stepsOf(definition['pre_tokenizer']);
  const model = isJsonObject(definition['model']) ? definition['model'] : {};
  const wholeWords = model['ignore_merges'] === true;
  return preTokenizers.find(
    (known) =>
      steps?.length === known.steps.length &&
      known.steps.every((step, at) => steps[at] === step) &&
      (known.wholeWords ?? wholeWords) === wholeWords,
  )?.name;
}

/** The steps of a pre-tokenizer; undefined for steps that are not understood. */
function stepsOf(preTokenizer: unknown): string[] | undefined {
  if (!isJsonObject(preTokenizer)) {
    return undefined;
  }
  switch (preTokenizer['type']) {
    case 'Sequence': {
      const inner = preTokenizer['pretokenizers'];
      const parts = Array.isArray(inner) ? inner.map(stepsOf) : [undefined];
      return parts.some((part) => part === undefined) ? undefined : parts.flatMap((part) => part!);
    }
    case 'ByteLevel':
      return preTokenizer['add_prefix_space'] === true
        ? undefined
        : preTokenizer['use_regex'] === false
          ? []
          : ['bytes'];
    case 'Digits':
      return preTokenizer['individual_digits'] === true ? ['digits'] : undefined;
    case 'Split': {
      const pattern = isJsonObject(preTokenizer['pattern']) ? preTokenizer['pattern']['Regex'] : undefined;
      const kept = preTokenizer['behavior'] === 'Isolated' && preTokenizer['invert'] !== true;
      return typeof pattern === 'string' && kept ? [pattern] : undefined;
    }
    default:
      return undefined;
  }
}
