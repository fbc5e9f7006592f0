import type { FamilyRecord } from '../../families/familyRecord';
import type { FeedForwardSpec, LinearSpec } from '../../families/specification';
import type { ResolvedModel } from '../../families/resolveModel';
import { projections, type ExpertBits, type Projection } from '../../methods/quantize/quantizers';
import { TunerError } from '../../protocol/errors';
import type { PlanQuantize } from '../../protocol/plan';
import type { RewrittenTensor } from '../../transform/tensorRewrite';
import { packedTensors } from './packedLinear';

/** Bits that the kernels of vLLM run; other packings are only unpacked on loading. */
const kernelBits = [4, 8];

/** What the experts of a model become. */
export interface PackedExperts {
  /** Rounded experts per MoE layer in order. */
  readonly experts: readonly (readonly FeedForwardSpec[])[];
  readonly bits: readonly (readonly ExpertBits[])[];
  readonly group: number;
  readonly symmetric: boolean;
}

export interface CompressedTensors {
  readonly tensors: readonly RewrittenTensor[];
  /** Value of `quantization_config` in the config. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

/**
 * A checkpoint with rounded experts in the format `pack-quantized` of compressed-tensors
 * (github.com/vllm-project/compressed-tensors), one group of the config per bit width.
 * @param tensors the checkpoint with all weights in full, whose expert weights are replaced
 * @throws TunerError `unsupportedFeature` for bits that differ within a layer, which fused kernels cannot load, and for families
 * whose checkpoints hold the experts of a layer in one tensor
 */
export function compressExperts(
  resolved: ResolvedModel,
  tensors: readonly RewrittenTensor[],
  packed: PackedExperts,
): CompressedTensors {
  const names = expertNames(resolved, tensors);
  const replaced = new Map<string, readonly RewrittenTensor[]>();
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const layersByBits = new Map<number, number[]>();
  for (const [position, experts] of packed.experts.entries()) {
    const { layer } = resolved.blocks[position]!;
    const bits = layerBits(packed.bits[position]!, layer);
    layersByBits.set(bits, [...(layersByBits.get(bits) ?? []), layer]);
    for (const [expert, network] of bits === 16 ? [] : experts.entries()) {
      for (const [projection, linear] of projectionsOf(network)) {
        const name = names(layer, expert, projection);
        if (linear.weight.storage !== 'block-quantized') {
          throw new TunerError('internal', 'An expert that is to be packed is not rounded.', { place: name });
        }
        const { original } = byName.get(name)!;
        const rounded = { weight: linear.weight, bits, symmetric: packed.symmetric };
        replaced.set(name, packedTensors(name, original, rounded));
      }
    }
  }
  return {
    tensors: tensors.flatMap((tensor) => replaced.get(tensor.name) ?? [tensor]),
    config: quantizationConfig(layersByBits, packed),
    notes: notesOf(layersByBits, packed),
  };
}

/**
 * Refusals that need no weights, before any is rounded.
 * @throws TunerError `unsupportedFeature` for a checkpoint that is quantized already, for bits that differ within a layer, for
 * checkpoints that hold the experts of a layer together, and for rounded weights beside the experts
 */
export function assertCompressible(resolved: ResolvedModel, { layers, scope, others }: PlanQuantize): void {
  assertNotPacked(resolved);
  if (scope === 'all' && (others ?? 16) !== 16) {
    throw new TunerError(
      'unsupportedFeature',
      `The plan rounds attention and dense layers to ${others} bits, and only experts are packed for this target.`,
      {
        place: 'quantize.scope',
        wayOut: 'Make the plan with --scope experts, or choose the target onnx, llama.cpp or huggingface.',
      },
    );
  }
  for (const [position, layer] of layers.entries()) {
    const { layer: decoderLayer, experts } = resolved.blocks[position]!;
    const present = projections.filter((projection) => projection !== 'gate' || experts[0]!.layout !== 'ungated');
    const widths = typeof layer === 'number' ? [layer] : present.flatMap((projection) => layer[projection] ?? 16);
    assertOneWidth(new Set(widths), decoderLayer);
  }
  if (resolved.recognised.record.experts.every((layout) => templateOf(layout, 'up') === undefined)) {
    throw heldTogether(resolved.recognised.record.title);
  }
}

/** @throws TunerError `unsupportedFeature` where the checkpoint is quantized already: its config can name one format only */
function assertNotPacked({ recognised: { checkpoint } }: ResolvedModel): void {
  if (checkpoint.config['quantization_config'] !== undefined) {
    throw new TunerError(
      'unsupportedFeature',
      'The checkpoint is quantized already, and its config can name one format only.',
      {
        file: checkpoint.configFile,
        place: 'quantization_config',
        wayOut: 'Start from the checkpoint in full precision, or choose the target onnx.',
      },
    );
  }
}

/** @throws TunerError `unsupportedFeature` where the experts of a layer differ */
function layerBits(experts: readonly ExpertBits[], layer: number): number {
  const all = new Set(experts.flatMap(({ gate, up, down }) => [gate, up, down]));
  assertOneWidth(all, layer);
  return [...all][0]!;
}

function assertOneWidth(all: ReadonlySet<number>, layer: number): void {
  if (all.size > 1) {
    throw new TunerError(
      'unsupportedFeature',
      `Fused kernels load one bit width per layer; the plan has ${[...all].sort((a, b) => a - b).join(', ')} bits in decoder layer ${layer}.`,
      { place: 'quantize.layers', wayOut: 'Make the plan with --granularity layer, or choose the target onnx.' },
    );
  }
}

/** Name of the written weight of an expert, by its position among those that are left. */
function expertNames(
  { recognised }: ResolvedModel,
  tensors: readonly RewrittenTensor[],
): (layer: number, expert: number, projection: Projection) => string {
  const { record, root, names } = recognised;
  const written = new Set(tensors.map(({ name }) => name));
  return (layer, expert, projection) => {
    const stem = root.root + names.layer.replace('{layer}', String(layer));
    for (const layout of record.experts) {
      const template = templateOf(layout, projection);
      const name = template === undefined ? undefined : `${stem}${template.replace('{expert}', String(expert))}.weight`;
      if (name !== undefined && written.has(name)) {
        return name;
      }
    }
    throw heldTogether(record.title);
  };
}

function heldTogether(title: string): TunerError {
  return new TunerError(
    'unsupportedFeature',
    `compressed-tensors packs one matrix per expert, and checkpoints of ${title} hold the experts of a layer together.`,
    {
      place: '--target',
      wayOut: 'Choose the target onnx, or huggingface for a folder that shows what rounding does.',
    },
  );
}

function templateOf(layout: FamilyRecord['experts'][number], projection: Projection): string | undefined {
  switch (layout.layout) {
    case 'separate':
      return layout[projection];
    case 'separate-ungated':
      return projection === 'gate' ? undefined : layout[projection];
    case 'fused':
    case 'fused-mxfp4':
    case 'stacked':
    case 'row-blocks':
      return undefined;
  }
}

function projectionsOf(network: FeedForwardSpec): [Projection, LinearSpec][] {
  switch (network.layout) {
    case 'gated':
      return [
        ['gate', network.gate],
        ['up', network.up],
        ['down', network.down],
      ];
    case 'ungated':
      return [
        ['up', network.up],
        ['down', network.down],
      ];
    case 'fused-gated':
      return [];
  }
}

function quantizationConfig(
  layersByBits: ReadonlyMap<number, readonly number[]>,
  { group, symmetric }: PackedExperts,
): Record<string, unknown> {
  const widths = [...layersByBits].filter(([bits]) => bits !== 16).sort(([left], [right]) => left - right);
  const groups = widths.map(([bits, layers], at) => [
    `group_${at}`,
    {
      targets: [expertPattern(layers, String.raw`\.\d+\..*`)],
      weights: {
        num_bits: bits,
        type: 'int',
        symmetric,
        group_size: group,
        strategy: 'group',
        block_structure: null,
        dynamic: false,
        actorder: null,
        observer: 'minmax',
        observer_kwargs: {},
      },
      input_activations: null,
      output_activations: null,
    },
  ]);
  const kept = layersByBits.get(16);
  return {
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    quantization_status: 'compressed',
    kv_cache_scheme: null,
    config_groups: Object.fromEntries(groups),
    // Everything but experts, and the experts of layers that stay as they are.
    ignore: [String.raw`re:^(?!.*\.experts).*$`, ...(kept === undefined ? [] : [expertPattern(kept, '.*')])],
  };
}

function expertPattern(layers: readonly number[], rest: string): string {
  return String.raw`re:.*\.layers\.(${layers.join('|')})\..*experts${rest}`;
}

function notesOf(layersByBits: ReadonlyMap<number, unknown>, { symmetric }: PackedExperts): string[] {
  const unusual = [...layersByBits.keys()].filter((bits) => bits !== 16 && !kernelBits.includes(bits));
  return [
    'Scales are float16; a runtime that computes in bfloat16 rounds them once more on loading.',
    ...(unusual.length > 0
      ? [`vLLM has kernels for 4 and 8 bits; ${unusual.join(' and ')} bits are unpacked by Transformers only.`]
      : []),
    ...(symmetric
      ? []
      : ['Zero points need a vLLM whose kernels for experts take them; symmetric codes run everywhere.']),
  ];
}
