import type { MoeBlockSpec } from '../../families/specification';
import { projections, type Projection } from '../../methods/quantize/quantizers';
import type { PlanQuantize } from '../../protocol/plan';
import { projectionShapes } from '../../transform/quantizeBits';
import type { TextFile } from '../artefactFiles';

/** File with one line per expert tensor, as `llama-quantize --tensor-type-file` reads it. */
export const tensorTypesName = 'tensor-types.txt';

/**
 * Families whose converter in llama.cpp stores the experts of decoder layer N as `blk.N.ffn_gate_exps`, `ffn_up_exps` and
 * `ffn_down_exps` and under no other name (MODEL_TENSORS of gguf-py).
 */
export const stackedExpertFamilies: ReadonlySet<string> = new Set([
  'bailing_moe',
  'bailing_moe_v2',
  'dbrx',
  'deepseek',
  'deepseek_v2',
  'deepseek_v3',
  'dots1',
  'ernie4_5_moe',
  'glm4_moe',
  'granitemoe',
  'hunyuan_v1_moe',
  'llada_moe',
  'minimax_m2',
  'mixtral',
  'olmoe',
  'qwen2_moe',
  'qwen3_moe',
]);

/** Types of ggml that tensors are left in. */
type PlainType = 'f32' | 'f16' | 'bf16';

type TensorType = PlainType | 'q8_0' | 'q6_K' | 'q5_K' | 'q4_0' | 'q4_1' | 'q3_K' | 'q2_K';

/** Weights of a row that share one block of a type: other rows make llama-quantize stop. */
const blockLength: Readonly<Partial<Record<TensorType, number>>> = {
  q8_0: 32,
  q4_0: 32,
  q4_1: 32,
  q6_K: 256,
  q5_K: 256,
  q3_K: 256,
  q2_K: 256,
};

/** The list, and what a person has to know of it. */
export interface TensorTypes {
  readonly files: readonly TextFile[];
  readonly notes: readonly string[];
}

/**
 * What a quantize section asks of llama.cpp: the type of every stacked expert tensor. One tensor holds all experts of a projection
 * of a layer, so experts with different bits take the most of them. llama-quantize takes the first line whose regular
 * expression is found in the name, and reads no comments.
 * @param blocks of the checkpoint, in the order of the section's layers
 * @param written name of the GGUF file beside the list; absent beside a checkpoint folder
 */
export function tensorTypes(
  family: string,
  blocks: readonly MoeBlockSpec[],
  quantize: PlanQuantize,
  written?: string,
): TensorTypes {
  if (!stackedExpertFamilies.has(family)) {
    return {
      files: [],
      notes: [
        'There is no list of tensor types for llama-quantize: the names of the expert tensors of this family in GGUF files are not certain.',
      ],
    };
  }
  const plain = plainType(blocks[0]!);
  const lines: string[] = [];
  const seen = { mixed: false, longer: false };
  for (const [position, block] of blocks.entries()) {
    const shapes = projectionShapes(block.experts[0]!);
    for (const projection of projections) {
      const columns = shapes[projection]?.[1];
      if (columns !== undefined) {
        const bits = bitsOf(quantize.layers[position]!, projection);
        const wanted = typeOf(Math.max(...bits), quantize.symmetric, plain);
        const type = fittingType(wanted, columns, plain);
        seen.mixed ||= new Set(bits).size > 1;
        seen.longer ||= type !== wanted;
        lines.push(`blk\\.${block.layer}\\.ffn_${projection}_exps=${type}`);
      }
    }
  }
  // The plan leaves the other tensors as they are; llama-quantize would give them the type on its command line.
  if (quantize.scope === 'experts') {
    lines.push(`.*=${plain}`);
  }
  return {
    files: [{ name: tensorTypesName, text: `${lines.join('\n')}\n` }],
    notes: written === undefined ? notes(quantize, plain, seen) : besideFile(written),
  };
}

function bitsOf(layer: PlanQuantize['layers'][number], projection: Projection): readonly number[] {
  const bits = typeof layer === 'number' ? layer : (layer[projection] ?? 16);
  return typeof bits === 'number' ? [bits] : bits;
}

function typeOf(bits: number, symmetric: boolean, plain: PlainType): TensorType {
  if (bits > 8) {
    return plain;
  }
  if (bits > 4) {
    return bits > 6 ? 'q8_0' : bits > 5 ? 'q6_K' : 'q5_K';
  }
  return bits > 3 ? (symmetric ? 'q4_0' : 'q4_1') : bits > 2 ? 'q3_K' : 'q2_K';
}

/** The type, or where its blocks do not divide the rows the next that fits, as llama-quantize itself falls back. */
function fittingType(type: TensorType, columns: number, plain: PlainType): TensorType {
  const fits = (candidate: TensorType) => columns % (blockLength[candidate] ?? 1) === 0;
  const next: TensorType = type === 'q6_K' || type === 'q5_K' ? 'q8_0' : 'q4_0';
  return [type, next].find((candidate) => fits(candidate)) ?? plain;
}

function plainType({ experts }: MoeBlockSpec): PlainType {
  const { weight } = experts[0]!.down;
  const dtype = weight.storage === 'plain' ? weight.entry.dtype : 'BF16';
  // The converter writes 8-bit floats as bfloat16.
  return dtype === 'F32' ? 'f32' : dtype === 'F16' ? 'f16' : 'bf16';
}

/** The file holds the plan's weights already; the list serves other types. */
function besideFile(written: string): string[] {
  return [
    `${tensorTypesName} has a type of llama.cpp for every expert tensor by its bits, with k-quants that keep no codes: llama-quantize --allow-requantize --tensor-type-file ${tensorTypesName} ${written} OUT.gguf Q8_0 rounds once more with formulas of its own. The option --gguf-blocks k-quants writes such types here, rounded once.`,
  ];
}

function notes(quantize: PlanQuantize, plain: PlainType, seen: { mixed: boolean; longer: boolean }): string[] {
  const others = quantize.scope === 'all' && (quantize.others ?? 16) <= 4 ? 'Q4_0' : 'Q8_0';
  return [
    `${tensorTypesName} has the types of the expert tensors: convert with --outtype ${plain}, without --fuse-gate-up-exps, then llama-quantize --tensor-type-file ${tensorTypesName} IN.gguf OUT.gguf ${others}.`,
    'llama-quantize rounds with formulas of its own, so the weights of this folder are rounded twice: at 8 bits this changes almost nothing, at 4 and fewer it costs. To have them rounded once, convert the original, or a folder written from the plan without its quantize section.',
    seen.mixed
      ? 'A GGUF file has one type for all experts of a tensor: where experts differ in bits, the list has the most of them.'
      : undefined,
    seen.longer
      ? 'Blocks of the type of some bits do not divide the rows: the list has a type that does, with more bits than the plan.'
      : undefined,
  ].filter((note) => note !== undefined);
}
