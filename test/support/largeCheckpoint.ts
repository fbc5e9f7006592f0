import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';

/** Sizes of a checkpoint that has very many tensors and next to no bytes. */
export interface LargeShape {
  readonly layers: number;
  readonly experts: number;
  readonly hidden: number;
  readonly width: number;
}

type Header = Record<string, { dtype: string; shape: readonly number[]; data_offsets: [number, number] }>;

/**
 * Writes a DeepSeek-V3 checkpoint of zeros with one shard per layer and an index, as large models are published: for
 * tests of what costs time by the number of tensors.
 * @returns the number of tensors
 */
export function writeLargeCheckpoint(folder: string, shape: LargeShape): number {
  const { layers, experts, hidden, width } = shape;
  const weightMap: Record<string, string> = {};
  for (let layer = 0; layer < layers; layer += 1) {
    const file = `model-${String(layer + 1).padStart(5, '0')}-of-${String(layers).padStart(5, '0')}.safetensors`;
    const header: Header = {};
    let end = 0;
    const add = (name: string, sizes: readonly number[]) => {
      const bytes = sizes.reduce((product, size) => product * size, 2);
      header[name] = { dtype: 'BF16', shape: sizes, data_offsets: [end, end + bytes] };
      weightMap[name] = file;
      end += bytes;
    };
    const mlp = `model.layers.${layer}.mlp`;
    add(`${mlp}.gate.weight`, [experts, hidden]);
    add(`${mlp}.gate.e_score_correction_bias`, [experts]);
    for (const network of ['shared_experts', ...Array.from({ length: experts }, (_, at) => `experts.${at}`)]) {
      add(`${mlp}.${network}.gate_proj.weight`, [width, hidden]);
      add(`${mlp}.${network}.up_proj.weight`, [width, hidden]);
      add(`${mlp}.${network}.down_proj.weight`, [hidden, width]);
    }
    writeShard(path.join(folder, file), header, end);
  }
  writeFileSync(path.join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
  const config = {
    architectures: ['DeepseekV3ForCausalLM'],
    model_type: 'deepseek_v3',
    vocab_size: 64,
    hidden_size: hidden,
    num_hidden_layers: layers,
    n_routed_experts: experts,
    num_experts_per_tok: 8,
    n_shared_experts: 1,
    n_group: 8,
    topk_group: 4,
  };
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  return Object.keys(weightMap).length;
}

function writeShard(file: string, header: Header, bytes: number): void {
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const descriptor = openSync(file, 'w');
  writeSync(descriptor, length);
  writeSync(descriptor, text);
  ftruncateSync(descriptor, 8 + text.length + bytes);
  closeSync(descriptor);
}
