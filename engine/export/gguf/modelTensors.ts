import type { TensorEntry } from '../../checkpoint/types';
import type {
  FeedForwardSpec,
  GroupedQueryAttentionSpec,
  LatentAttentionSpec,
  LinearSpec,
  ModelSpec,
  MoeBlockSpec,
  NormSpec,
} from '../../families/specification';
import { fromFloat32 } from '../../checkpoint/encodeDtype';
import { TunerError } from '../../protocol/errors';
import type { TensorPiece } from '../../transform/tensorRewrite';
import { linearValues } from '../../transform/weightValues';
import type { GgufArchitecture } from './architectures';
import { chooseType, type ChosenType, type PlannedRounding } from './chooseTypes';
import { expertProjection } from './expertProjection';
import type { GgmlType } from './ggmlTypes';
import type { GgufTensorInfo } from './ggufHeader';
import { computed, matrixPieces, plainTypes, vectorPieces, type MatrixPart } from './matrixPieces';
import { rotaryRows } from './rotaryRows';
import { rotaryFactors } from './rotaryMetadata';
import { sharedNetwork } from './routerForm';

/** A tensor of a GGUF file with where its bytes come from. */
export interface GgufTensor extends GgufTensorInfo {
  readonly pieces: readonly TensorPiece[];
  /** How the rounding of a plan got into it; absent where the plan rounded nothing of it. */
  readonly rounding?: ChosenType | undefined;
}

/**
 * All tensors of a model under the names that llama.cpp loads (MODEL_TENSORS of gguf-py). Norms, biases and routers are float32 as the
 * loader wants them; the experts of a projection lie in one tensor.
 * @param rounding bits that a plan gives weights, where it rounds them
 */
export function modelTensors(
  model: ModelSpec,
  architecture: GgufArchitecture,
  rounding: PlannedRounding,
): GgufTensor[] {
  const head = model.head.weight;
  const tied = head.storage === 'plain' && sameBytes(head.entry, model.embedding);
  const embedding: LinearSpec = {
    weight: { storage: 'plain', entry: model.embedding },
    orientation: 'output-major',
    inputSize: model.hiddenSize,
    outputSize: model.vocabularySize,
  };
  const rotary = model.layers[0]!.mixer.kind === 'grouped-query' ? model.layers[0]!.mixer.rotary : undefined;
  const others = othersOf(rounding);
  const factors = rotary === undefined ? undefined : rotaryFactors(rotary);
  return [
    matrix('token_embd.weight', { linear: embedding }),
    ...(tied && architecture.sharesHead === true ? [] : [matrix('output.weight', { linear: model.head })]),
    ...norm('output_norm', model.finalNorm),
    ...(factors === undefined ? [] : [numbers('rope_freqs.weight', factors)]),
    ...model.layers.flatMap((layer) => {
      const prefix = `blk.${layer.index}`;
      const { mixer, feedForward } = layer;
      return [
        ...norm(`${prefix}.attn_norm`, layer.mixerNorm),
        ...(mixer.kind === 'grouped-query' ? attention(prefix, mixer, architecture, others) : []),
        ...(mixer.kind === 'latent' ? latentAttention(prefix, mixer, architecture, others) : []),
        ...norm(`${prefix}.${architecture.feedForwardNorm ?? 'ffn_norm'}`, layer.feedForwardNorm),
        ...(feedForward.kind === 'dense'
          ? network(prefix, '', feedForward.network, others)
          : experts(prefix, feedForward.block, rounding)),
      ];
    }),
  ];
}

function sameBytes(one: TensorEntry, other: TensorEntry): boolean {
  return one.file === other.file && one.byteOffset === other.byteOffset && one.byteLength === other.byteLength;
}

function attention(
  prefix: string,
  mixer: GroupedQueryAttentionSpec,
  { pairing }: GgufArchitecture,
  wantedBits: number | undefined,
): GgufTensor[] {
  const { heads, keyValueHeads, headSize, rotary } = mixer;
  const facts = {
    headSize,
    first: 0,
    dimensions: rotary?.dimensions ?? 0,
    from: rotary?.pairing ?? pairing,
    to: pairing,
  };
  const rows = (count: number) => rotaryRows({ ...facts, heads: count });
  const normRows = (count: number) => rows(mixer.queryKeyNormScope === 'head' ? 1 : count);
  return [
    ...linear(`${prefix}.attn_q`, mixer.query, wantedBits, rows(heads)),
    ...linear(`${prefix}.attn_k`, mixer.key, wantedBits, rows(keyValueHeads)),
    ...linear(`${prefix}.attn_v`, mixer.value, wantedBits),
    ...linear(`${prefix}.attn_output`, mixer.output, wantedBits),
    ...norm(`${prefix}.attn_q_norm`, mixer.queryNorm, normRows(heads)),
    ...norm(`${prefix}.attn_k_norm`, mixer.keyNorm, normRows(keyValueHeads)),
    ...(mixer.sinks === undefined ? [] : [vector(`${prefix}.attn_sinks.weight`, mixer.sinks)]),
  ];
}

/** Keys and values are read straight from the latent vector, so their projections lie apart, that of the keys transposed. */
function latentAttention(
  prefix: string,
  mixer: LatentAttentionSpec,
  { pairing }: GgufArchitecture,
  wantedBits: number | undefined,
): GgufTensor[] {
  const { heads, noRopeSize, ropeSize, valueSize, latentSize, query, rotary, keyValueUp } = mixer;
  const turned = { dimensions: ropeSize, from: rotary.pairing, to: pairing };
  const queryRows = rotaryRows({ ...turned, heads, headSize: noRopeSize + ropeSize, first: noRopeSize });
  const downRows = rotaryRows({ ...turned, heads: 1, headSize: latentSize + ropeSize, first: latentSize });
  const perHead = noRopeSize + valueSize;
  const valueRows = Int32Array.from(
    { length: heads * valueSize },
    (_, at) => Math.floor(at / valueSize) * perHead + noRopeSize + (at % valueSize),
  );
  // Codes run along rows, which the transposed keys do not keep: what a plan rounded is written as it is.
  const type: GgmlType = keyValueUp.weight.storage === 'block-quantized' ? 'F32' : plainType([{ linear: keyValueUp }]);
  const keyBytes = heads * latentSize * noRopeSize * (type === 'F32' ? 4 : 2);
  const keys = async () => {
    const values = await linearValues(keyValueUp).whole('output-major');
    const transposed = new Float32Array(heads * latentSize * noRopeSize);
    for (let head = 0, at = 0; head < heads; head += 1) {
      for (let channel = 0; channel < latentSize; channel += 1) {
        for (let row = 0; row < noRopeSize; row += 1, at += 1) {
          transposed[at] = values[(head * perHead + row) * latentSize + channel]!;
        }
      }
    }
    return fromFloat32(type as 'F32' | 'F16' | 'BF16', transposed);
  };
  const values = matrix(`${prefix}.attn_v_b.weight`, { linear: keyValueUp, rows: valueRows, wantedBits });
  return [
    ...('down' in query
      ? [
          ...linear(`${prefix}.attn_q_a`, query.down, wantedBits),
          ...norm(`${prefix}.attn_q_a_norm`, query.norm),
          ...linear(`${prefix}.attn_q_b`, query.up, wantedBits, queryRows),
        ]
      : linear(`${prefix}.attn_q`, query, wantedBits, queryRows)),
    ...linear(`${prefix}.attn_kv_a_mqa`, mixer.keyValueDown, wantedBits, downRows),
    ...norm(`${prefix}.attn_kv_a_norm`, mixer.keyValueNorm),
    {
      name: `${prefix}.attn_k_b.weight`,
      type,
      shape: [noRopeSize, latentSize, heads],
      byteLength: keyBytes,
      pieces: [computed(keyBytes, keys)],
    },
    { ...values, shape: [latentSize, valueSize, heads] },
    ...linear(`${prefix}.attn_output`, mixer.output, wantedBits),
  ];
}

function experts(prefix: string, block: MoeBlockSpec, rounding: PlannedRounding): GgufTensor[] {
  const { router, routedScale } = block;
  const kept = router.keptRows === undefined ? undefined : Int32Array.from(router.keptRows);
  const routerPart: MatrixPart = {
    linear: {
      weight: router.weight,
      orientation: 'output-major',
      inputSize: block.hiddenSize,
      outputSize: block.experts.length,
    },
    rows: kept,
  };
  const shared = sharedNetwork(block);
  const bits = rounding.experts(block.layer);
  const projections =
    block.experts[0]!.layout === 'ungated' ? (['up', 'down'] as const) : (['gate', 'up', 'down'] as const);
  return [
    matrix(`${prefix}.ffn_gate_inp.weight`, routerPart, 'F32'),
    ...(router.bias === undefined ? [] : [vector(`${prefix}.ffn_gate_inp.bias`, router.bias, kept)]),
    ...(router.selectionBias === undefined ? [] : [vector(`${prefix}.exp_probs_b.bias`, router.selectionBias, kept)]),
    ...projections.flatMap((projection) => {
      const parts = block.experts.map((expert, at) => ({
        ...expertProjection(expert, projection),
        ...bitsField(rounding, bits?.[at]?.[projection]),
        factor: projection === 'down' ? routedScale : undefined,
      }));
      return stack(`${prefix}.ffn_${projection}_exps`, parts);
    }),
    ...(shared === undefined ? [] : network(prefix, '_shexp', shared.network, othersOf(rounding))),
    ...(shared?.gate === undefined ? [] : [gateVector(`${prefix}.ffn_gate_inp_shexp.weight`, shared.gate)]),
  ];
}

/** Bits of what is outside the routed experts, where it is yet to be rounded. */
function othersOf({ form, others }: PlannedRounding): number | undefined {
  return form === 'k-quants' && others < 16 ? others : undefined;
}

/** Bits of codes that are there already, or of those to come; 16 are neither. */
function bitsField({ form }: PlannedRounding, bits: number | undefined): Pick<MatrixPart, 'bits' | 'wantedBits'> {
  return form === 'codes' ? { bits } : { wantedBits: bits === 16 ? undefined : bits };
}

function network(prefix: string, suffix: string, spec: FeedForwardSpec, wantedBits: number | undefined): GgufTensor[] {
  const projections = spec.layout === 'ungated' ? (['up', 'down'] as const) : (['gate', 'up', 'down'] as const);
  return projections.map((projection) =>
    matrix(`${prefix}.ffn_${projection}${suffix}.weight`, { ...expertProjection(spec, projection), wantedBits }),
  );
}

/** The matrices of all experts of a projection in one tensor, and their biases in another. */
function stack(name: string, parts: readonly MatrixPart[]): GgufTensor[] {
  const chosen = chooseType(parts, plainType(parts));
  const first = parts[0]!;
  const rows = first.rows?.length ?? first.linear.outputSize;
  const pieces = parts.flatMap((part) => matrixPieces(part, chosen.type));
  const weights: GgufTensor = {
    name: `${name}.weight`,
    type: chosen.type,
    shape: [first.linear.inputSize, rows, parts.length],
    byteLength: lengthOf(pieces),
    pieces,
    rounding: chosen.fit === undefined ? undefined : chosen,
  };
  const biases = parts.flatMap(({ linear: { bias }, rows: taken, factor = 1 }) =>
    bias === undefined ? [] : vectorPieces(bias, taken, (value) => value * factor),
  );
  return biases.length === 0
    ? [weights]
    : [
        weights,
        {
          name: `${name}.bias`,
          type: 'F32',
          shape: [rows, parts.length],
          byteLength: lengthOf(biases),
          pieces: biases,
        },
      ];
}

function linear(name: string, spec: LinearSpec, wantedBits: number | undefined, rows?: Int32Array): GgufTensor[] {
  const weights = matrix(`${name}.weight`, { linear: spec, rows, wantedBits });
  return spec.bias === undefined ? [weights] : [weights, vector(`${name}.bias`, spec.bias, rows)];
}

function matrix(name: string, part: MatrixPart, type?: GgmlType): GgufTensor {
  const chosen = type === undefined ? chooseType([part], plainType([part])) : { type };
  const pieces = matrixPieces(part, chosen.type);
  const rows = part.rows?.length ?? part.linear.outputSize;
  return {
    name,
    type: chosen.type,
    shape: [part.linear.inputSize, rows],
    byteLength: lengthOf(pieces),
    pieces,
    rounding: 'fit' in chosen && chosen.fit !== undefined ? chosen : undefined,
  };
}

/** The gate of a shared expert is one row, which the loader wants as a vector. */
function gateVector(name: string, gate: LinearSpec): GgufTensor {
  return { ...matrix(name, { linear: gate }, 'F32'), shape: [gate.inputSize] };
}

function norm(name: string, spec: NormSpec | undefined, rows?: Int32Array): GgufTensor[] {
  if (spec?.weight === undefined) {
    return [];
  }
  const offset = spec.kind === 'rms' ? spec.offset : 0;
  const pieces = vectorPieces(spec.weight, rows, (value) => value + offset);
  return [{ name: `${name}.weight`, type: 'F32', shape: [lengthOf(pieces) / 4], byteLength: lengthOf(pieces), pieces }];
}

function vector(name: string, entry: TensorEntry, rows?: Int32Array): GgufTensor {
  const pieces = vectorPieces(entry, rows);
  return { name, type: 'F32', shape: [lengthOf(pieces) / 4], byteLength: lengthOf(pieces), pieces };
}

function numbers(name: string, values: Float32Array): GgufTensor {
  const pieces = [computed(values.byteLength, () => Promise.resolve(fromFloat32('F32', values)))];
  return { name, type: 'F32', shape: [values.length], byteLength: values.byteLength, pieces };
}

/** The type of weights that no plan rounded: that of the checkpoint, bfloat16 for 8-bit floats. */
function plainType(parts: readonly MatrixPart[]): GgmlType {
  const types = new Set(parts.map(({ linear: { weight } }) => storedType(weight)));
  if (types.size === 1) {
    return [...types][0]!;
  }
  // Merged experts beside stored ones: what holds both.
  return types.has('F32') || (types.has('F16') && types.has('BF16')) ? 'F32' : types.has('F16') ? 'F16' : 'BF16';
}

function storedType(weight: LinearSpec['weight']): GgmlType {
  switch (weight.storage) {
    case 'plain': {
      const type = plainTypes[weight.entry.dtype];
      if (type === undefined) {
        throw new TunerError('unsupportedFeature', `GGUF files have no type for ${weight.entry.dtype} weights.`, {
          file: weight.entry.file,
          place: weight.entry.name,
        });
      }
      return type;
    }
    case 'mxfp4':
      return 'MXFP4';
    case 'fp8-block':
    case 'block-quantized':
      return 'BF16';
  }
}

function lengthOf(pieces: readonly TensorPiece[]): number {
  return pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
