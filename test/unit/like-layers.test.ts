import path from 'node:path';
import { expect, test } from 'vitest';
import type { TensorEntry } from '../../engine/checkpoint/types';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { LikeLayers } from '../../engine/graph/gpu/likeLayers';
import { sensitivityGraph } from '../../engine/graph/sensitivityGraph';
import { graphTarget } from '../../engine/runtime/graphTargets';
import { root } from '../../scripts/support/paths.mjs';
import { openResolved } from '../support/engineRun';

/** Separate and stacked experts, shared ones, biases and MXFP4. */
const names = ['mixtral', 'qwen2_moe', 'gpt_oss', 'deepseek_v3'];
const target = graphTarget({ provider: 'cuda', threads: 0, precision: 'float16' });

/** A graph as text: comparing bytes one by one takes seconds. */
const asText = (model: Uint8Array) => Buffer.from(model).toString('latin1');

/** A graph as it is built for itself, and through layers before it. */
function builder() {
  const layers = new LikeLayers();
  let built = 0;
  return {
    built: () => built,
    through: (block: MoeBlockSpec) => {
      const fed: TensorEntry[] = [];
      const model = layers.graph({ ...block, layer: undefined }, fed, (own) => {
        built += 1;
        return sensitivityGraph(block, { ...target, fed: own });
      });
      return { model: asText(model), fed };
    },
  };
}

function alone(block: MoeBlockSpec) {
  const fed: TensorEntry[] = [];
  return { model: asText(sensitivityGraph(block, { ...target, fed })), fed };
}

async function twoLayers(name: string): Promise<[MoeBlockSpec, MoeBlockSpec]> {
  const { blocks } = await openResolved(path.join(root, 'test', 'golden', 'families', name));
  return blocks.slice(-2) as [MoeBlockSpec, MoeBlockSpec];
}

test.each(names)('%s: layers that are alike share a graph and take their own tensors', async (name) => {
  const [first, second] = await twoLayers(name);
  const { through, built } = builder();
  expect(through(first)).toEqual(alone(first));
  expect(through(second)).toEqual(alone(second));
  expect(through(first)).toEqual(alone(first));
  expect(alone(first).fed).not.toEqual(alone(second).fed);
  expect(built()).toBe(1);
});

/** Changes of a layer after which it is not like the one before. */
const changes: readonly (readonly [string, (block: MoeBlockSpec) => MoeBlockSpec])[] = [
  ['fewer experts', (block) => ({ ...block, experts: block.experts.slice(1) })],
  ['other active experts', (block) => ({ ...block, activeExperts: block.activeExperts - 1 })],
  ['another activation', (block) => ({ ...block, activation: { kind: 'silu-gated-clipped', limit: 3 } })],
  ['an open limit', (block) => ({ ...block, activation: { kind: 'silu-gated-clipped', limit: Infinity } })],
  [
    'an expert used twice',
    (block) => ({ ...block, experts: [block.experts[0]!, block.experts[0]!, ...block.experts.slice(2)] }),
  ],
];

test.each(changes)('a layer with %s gets a graph of its own', async (_, change) => {
  const [first, second] = await twoLayers('mixtral');
  const { through, built } = builder();
  through(first);
  expect(through(change(second))).toEqual(alone(change(second)));
  expect(built()).toBe(2);
});

test('a graph that takes ranges of its own making is not shared', async () => {
  const [first, second] = await twoLayers('mixtral');
  const layers = new LikeLayers();
  const half = (block: MoeBlockSpec, fed: TensorEntry[]) =>
    layers.graph(block.experts, fed, (own) => {
      const { weight } = (block.experts[0] as { gate: { weight: { entry: TensorEntry } } }).gate;
      own.push({ ...weight.entry, byteLength: weight.entry.byteLength / 2 });
      return new Uint8Array();
    });
  const [one, other]: [TensorEntry[], TensorEntry[]] = [[], []];
  half(first, one);
  half(second, other);
  expect(other[0]!.byteOffset).not.toBe(one[0]!.byteOffset);
  expect(other[0]!.byteLength).toBe(one[0]!.byteLength);
});
