import type { GeneratedToken, GenerateResult } from '../../engine/protocol/generation';
import type { PlaygroundUpdate } from '../../engine/protocol/playground';

const layers = Array.from({ length: 6 }, (_, index) => ({ index: index + 1, experts: 16 }));

/** A token whose experts are told apart by layer, position and model. */
export function token(text: string, position: number, active: number, shift = 0): GeneratedToken {
  const experts = layers.map(({ index }) =>
    Array.from(
      { length: active },
      (_, rank) => (index * 3 + position + rank * 2 + (rank === active - 1 ? shift : 0)) % 16,
    ),
  );
  return {
    id: Array.from(text).reduce((sum, letter) => sum * 31 + (letter.codePointAt(0) ?? 0), 7) % 50_000,
    text,
    probability: 1 / (position + 1.5),
    experts,
    gates: experts.map((each) => each.map(() => 1 / each.length)),
  };
}

const baseline = ['Once', ' upon', ' a', ' time', '\n', 'there'];
const plan = ['Once', ' upon', ' a', ' day', ',', 'there', ' was'];

export const target: PlaygroundUpdate = {
  kind: 'target',
  target: { folder: '/models/sample', plan: '/models/sample.moeplan.json' },
  checkpoint: 'sample',
  plan: 'sample.moeplan.json',
};

export const settings = { prompt: 'Tell me', tokens: 7, temperature: 0, seed: 0 };

export const result: GenerateResult = {
  checkpoint: '/models/sample',
  fingerprint: 'f',
  plan: '/models/sample.moeplan.json',
  provider: 'cpu',
  prompt: [{ id: 1, text: 'Tell me' }],
  temperature: 0,
  seed: 0,
  layers,
  variants: [
    {
      name: 'baseline',
      activeExperts: layers.map(() => 4),
      text: baseline.join(''),
      tokens: baseline.map((text, at) => token(text, at, 4)),
      ended: 'end-of-text',
    },
    {
      name: 'plan',
      activeExperts: layers.map((_, at) => (at % 2 === 0 ? 2 : 3)),
      text: plan.join(''),
      tokens: plan.map((text, at) => token(text, at, 2, 1)),
      ended: 'length',
    },
  ],
  agreement: { share: 4 / 7, firstDifference: 3 },
  notes: [],
  seconds: 1,
};

/** The messages of a whole run: the models write in turns. */
export function run(): PlaygroundUpdate[] {
  const longest = Math.max(...result.variants.map(({ tokens }) => tokens.length));
  const steps = Array.from({ length: longest }, (_, position) =>
    result.variants.flatMap(({ name, tokens }): PlaygroundUpdate[] => {
      const one = tokens[position];
      return one === undefined ? [] : [{ kind: 'step', step: { variant: name, position, token: one } }];
    }),
  ).flat();
  return [{ kind: 'started', settings }, ...steps, { kind: 'finished', result }];
}
