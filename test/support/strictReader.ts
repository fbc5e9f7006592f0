import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

/**
 * A reader of checkpoint folders that shares no code with the engine and forgives nothing: every rule of the safetensors format and of
 * the index, every tensor that the architecture asks for with its shape, and nothing beyond them.
 */

/** Bytes of an element, by the name of its type in headers. */
const elementBytes: Readonly<Record<string, number>> = { F32: 4, BF16: 2, F16: 2, F8_E4M3: 1, U8: 1, I64: 8 };

export interface StrictTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly file: string;
  readonly data: Buffer;
}

export interface StrictCheckpoint {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, StrictTensor>;
}

/**
 * Reads all weights of a folder. Throws with the reason on the first violation.
 * @param beside safetensors files that are no weights
 */
export function readStrictly(folder: string, beside: readonly string[] = []): StrictCheckpoint {
  const config = JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
  const names = readdirSync(folder);
  const files = names.filter((name) => name.endsWith('.safetensors') && !beside.includes(name)).sort();
  const tensors = new Map<string, StrictTensor>();
  for (const file of files) {
    for (const [name, tensor] of readFile(path.join(folder, file), file)) {
      demand(!tensors.has(name), `${name} is in two files`);
      tensors.set(name, tensor);
    }
  }
  const index = names.find((name) => name === 'model.safetensors.index.json');
  if (index === undefined) {
    demand(files.length === 1 && files[0] === 'model.safetensors', `files without an index: ${files.join(', ')}`);
  } else {
    demand(!files.includes('model.safetensors'), 'an index beside a single file');
    checkIndex(JSON.parse(readFileSync(path.join(folder, index), 'utf8')) as Index, tensors, files);
  }
  return { config, tensors };
}

interface Index {
  readonly metadata: { readonly total_size: number };
  readonly weight_map: Readonly<Record<string, string>>;
}

function checkIndex(index: Index, tensors: ReadonlyMap<string, StrictTensor>, files: readonly string[]): void {
  const mapped = Object.entries(index.weight_map);
  demand(mapped.length === tensors.size, `the index names ${mapped.length} of ${tensors.size} tensors`);
  for (const [name, file] of mapped) {
    demand(tensors.get(name)?.file === file, `the index places ${name} in ${file}`);
  }
  demand(
    files.every((file) => mapped.some(([, place]) => place === file)),
    'a file that the index does not name',
  );
  const bytes = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  demand(index.metadata.total_size === bytes, `total_size is ${index.metadata.total_size} instead of ${bytes}`);
}

function readFile(location: string, file: string): Map<string, StrictTensor> {
  const bytes = readFileSync(location);
  demand(bytes.length === statSync(location).size && bytes.length > 8, `${file} is too short`);
  const length = Number(bytes.readBigUInt64LE(0));
  demand(length % 8 === 0, `the header of ${file} is not padded`);
  const text = bytes.subarray(8, 8 + length).toString('utf8');
  demand(text.startsWith('{'), `${file} has no header`);
  const header = JSON.parse(text) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const metadata = header['__metadata__'] as unknown as Record<string, string> | undefined;
  demand(metadata?.['format'] === 'pt', `${file} does not say that its tensors are PyTorch's`);
  const entries = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .sort(([, left], [, right]) => left.data_offsets[0] - right.data_offsets[0]);
  let end = 0;
  const tensors = new Map<string, StrictTensor>();
  for (const [name, { dtype, shape, data_offsets: offsets }] of entries) {
    const width = elementBytes[dtype];
    demand(width !== undefined, `${name} has the type ${dtype}`);
    demand(offsets[0] === end, `${name} begins at ${offsets[0]} instead of ${end}`);
    demand(offsets[0] % width === 0, `${name} is not aligned`);
    demand(
      offsets[1] - offsets[0] === shape.reduce((product, size) => product * size, width),
      `${name} has a wrong size`,
    );
    end = offsets[1];
    const data = bytes.subarray(8 + length + offsets[0], 8 + length + offsets[1]);
    tensors.set(name, { dtype, shape, file, data });
  }
  demand(end === bytes.length - 8 - length, `${file} has ${bytes.length - 8 - length - end} bytes too many`);
  return tensors;
}

/** Shapes of one MoE layer's routed part: name below the layer's stem → shape, for n experts. */
type RoutedShapes = (experts: number, sizes: Sizes) => Readonly<Record<string, readonly number[]>>;

interface Sizes {
  readonly hidden: number;
  readonly width: number;
}

const separate =
  (block: string, [gate, up, down]: readonly [string, string, string]) =>
  (experts: number, { hidden, width }: Sizes): Record<string, readonly number[]> =>
    Object.fromEntries(
      Array.from({ length: experts }, (_, expert) => [
        [`${block}.experts.${expert}.${gate}.weight`, [width, hidden]],
        [`${block}.experts.${expert}.${up}.weight`, [width, hidden]],
        [`${block}.experts.${expert}.${down}.weight`, [hidden, width]],
      ]).flat() as [string, number[]][],
    );

const named = ['gate_proj', 'up_proj', 'down_proj'] as const;
const numbered = ['w1', 'w3', 'w2'] as const;
const withGate =
  (routed: RoutedShapes): RoutedShapes =>
  (experts, sizes) => ({ 'mlp.gate.weight': [experts, sizes.hidden], ...routed(experts, sizes) });
const withBias =
  (routed: RoutedShapes): RoutedShapes =>
  (experts, sizes) => ({ 'mlp.gate.e_score_correction_bias': [experts], ...routed(experts, sizes) });
const sparse: RoutedShapes = (experts, sizes) => ({
  'block_sparse_moe.gate.weight': [experts, sizes.hidden],
  ...separate('block_sparse_moe', numbered)(experts, sizes),
});

/** What an architecture of Transformers asks for: where the count stands, and the routed tensors of a layer. */
interface Architecture {
  readonly countKeys: readonly string[];
  readonly widthKey: string;
  readonly routed: RoutedShapes;
  /** Beginning of the names that only routed experts and routers have, below the layer. */
  readonly owns: RegExp;
}

const mlpOwns = /^mlp\.(experts\.|gate\.|router\.)/;
const sparseOwns = /^block_sparse_moe\./;

/** Written from the model classes of Transformers, independent of the engine's records. */
const architectures: Readonly<Record<string, Architecture>> = {
  mixtral: { countKeys: ['num_local_experts'], widthKey: 'intermediate_size', routed: sparse, owns: sparseOwns },
  phimoe: { countKeys: ['num_local_experts'], widthKey: 'intermediate_size', routed: sparse, owns: sparseOwns },
  olmoe: {
    countKeys: ['num_experts', 'num_local_experts'],
    widthKey: 'intermediate_size',
    routed: withGate(separate('mlp', named)),
    owns: mlpOwns,
  },
  qwen2_moe: {
    countKeys: ['num_experts', 'num_local_experts'],
    widthKey: 'moe_intermediate_size',
    routed: withGate(separate('mlp', named)),
    owns: mlpOwns,
  },
  qwen3_moe: {
    countKeys: ['num_experts', 'num_local_experts'],
    widthKey: 'moe_intermediate_size',
    routed: withGate(separate('mlp', named)),
    owns: mlpOwns,
  },
  deepseek_v2: {
    countKeys: ['n_routed_experts'],
    widthKey: 'moe_intermediate_size',
    routed: withGate(separate('mlp', named)),
    owns: mlpOwns,
  },
  deepseek_v3: {
    countKeys: ['n_routed_experts'],
    widthKey: 'moe_intermediate_size',
    routed: withBias(withGate(separate('mlp', named))),
    owns: mlpOwns,
  },
  glm4_moe: {
    countKeys: ['n_routed_experts'],
    widthKey: 'moe_intermediate_size',
    routed: withBias(withGate(separate('mlp', named))),
    owns: mlpOwns,
  },
  gpt_oss: {
    countKeys: ['num_local_experts'],
    widthKey: 'intermediate_size',
    routed: (experts, { hidden, width }) => ({
      'mlp.router.weight': [experts, hidden],
      'mlp.router.bias': [experts],
      'mlp.experts.gate_up_proj': [experts, hidden, 2 * width],
      'mlp.experts.gate_up_proj_bias': [experts, 2 * width],
      'mlp.experts.down_proj': [experts, width, hidden],
      'mlp.experts.down_proj_bias': [experts, hidden],
    }),
    owns: mlpOwns,
  },
  granitemoe: {
    countKeys: ['num_local_experts'],
    widthKey: 'intermediate_size',
    routed: (experts, { hidden, width }) => ({
      'block_sparse_moe.router.layer.weight': [experts, hidden],
      'block_sparse_moe.input_linear.weight': [experts, 2 * width, hidden],
      'block_sparse_moe.output_linear.weight': [experts, hidden, width],
    }),
    owns: sparseOwns,
  },
  llama4_text: {
    countKeys: ['num_local_experts'],
    widthKey: 'intermediate_size',
    routed: (experts, { hidden, width }) => ({
      'feed_forward.router.weight': [experts, hidden],
      'feed_forward.experts.gate_up_proj': [experts, hidden, 2 * width],
      'feed_forward.experts.down_proj': [experts, width, hidden],
    }),
    owns: /^feed_forward\.(experts|router)\./,
  },
};

/** All words that any family counts routed experts with. */
const anyCountKey = [
  'num_experts',
  'num_local_experts',
  'n_routed_experts',
  'moe_num_experts',
  'num_routed_experts',
  'n_experts',
];

/**
 * Checks that a checkpoint is what its architecture would load: one number of experts, and for every MoE layer exactly the routed
 * tensors of that number.
 * @returns the number of experts
 */
export function checkArchitecture({ config, tensors }: StrictCheckpoint): number {
  const type = config['model_type'] as string;
  const architecture = architectures[type];
  demand(architecture !== undefined, `no rules for ${type}`);
  const { countKeys, widthKey, routed, owns } = architecture;
  const stated = anyCountKey.filter((key) => key in config);
  demand(stated.length === 1 && countKeys.includes(stated[0]!), `the count stands under ${stated.join(', ')}`);
  const experts = config[stated[0]!] as number;
  const active = config['num_experts_per_tok'] as number;
  demand(Number.isInteger(experts) && active <= experts, `${active} of ${experts} experts are active`);
  const groups = (config['n_group'] as number | undefined) ?? 1;
  demand(experts % groups === 0, `${experts} experts in ${groups} groups`);
  demand(((config['num_nextn_predict_layers'] as number | undefined) ?? 0) === 0, 'prediction layers without weights');
  const sizes = { hidden: config['hidden_size'] as number, width: config[widthKey] as number };
  const wanted = routed(experts, sizes);
  let layers = 0;
  for (let layer = 0; layer < (config['num_hidden_layers'] as number); layer += 1) {
    const stem = `model.layers.${layer}.`;
    const found = [...tensors]
      .filter(([name]) => name.startsWith(stem) && owns.test(name.slice(stem.length)))
      .map(([name, { shape }]): [string, readonly number[]] => [name.slice(stem.length), shape]);
    if (found.length === 0) {
      continue;
    }
    layers += 1;
    const sorted = (entries: readonly (readonly [string, readonly number[]])[]) =>
      JSON.stringify([...entries].sort(([left], [right]) => (left < right ? -1 : 1)));
    demand(
      sorted(found) === sorted(Object.entries(wanted)),
      `layer ${layer} does not have the tensors of ${experts} experts`,
    );
  }
  demand(layers > 0, 'no MoE layer');
  return experts;
}

function demand(holds: boolean, violated: string): asserts holds {
  if (!holds) {
    throw new Error(`The strict reader refuses this checkpoint: ${violated}.`);
  }
}
