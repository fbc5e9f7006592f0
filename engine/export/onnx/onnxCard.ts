import path from 'node:path';
import type { MoeBlockSpec } from '../../families/specification';
import { inlineCode } from '../modelCard';
import type { Provenance } from '../provenance';
import type { PlannedOnnx } from './planOnnx';

/** The README of an ONNX export: what it is, how to run it, what differs from the checkpoint. */
export function onnxCard(
  { resolved, fingerprint, activeExperts }: Provenance,
  blocks: readonly MoeBlockSpec[],
  { fusedLayers }: PlannedOnnx,
): string {
  const { checkpoint, record } = resolved.recognised;
  const name = path.basename(checkpoint.folder);
  const rows = resolved.blocks.map(
    ({ layer, experts, activeExperts: before }, at) =>
      `| ${layer} | ${experts.length} | ${blocks[at]!.experts.length} | ${before} | ${activeExperts[at]} | ${fusedLayers.includes(layer) ? 'MoE operator' : 'branches'} |`,
  );
  return [
    '---',
    'tags:',
    '- mixture-of-experts',
    '- onnx',
    '- moe-tuner',
    '---',
    '',
    `# ${inlineCode(name)} as an ONNX model`,
    '',
    `The decoder of ${inlineCode(name)} (${record.title}) with a key/value cache, written by MoE Tuner. Weights keep their precision unless the plan changes it; products are float32.`,
    '',
    '## Running',
    '',
    'With ONNX Runtime 1.23 or newer on a processor, or with ONNX Runtime GenAI:',
    '',
    '```python',
    'import onnxruntime_genai as og',
    '',
    'model = og.Model(".")',
    'tokenizer = og.Tokenizer(model)',
    'generator = og.Generator(model, og.GeneratorParams(model))',
    'generator.append_tokens(tokenizer.encode("Once upon a time"))',
    '```',
    '',
    'Inputs are `input_ids`, `attention_mask`, `position_ids` and the cache of every layer; outputs are `logits` and the longer cache.',
    '',
    '## Experts',
    '',
    '| Layer | Experts before | Experts | Active before | Active | Form |',
    '| ---: | ---: | ---: | ---: | ---: | --- |',
    ...rows,
    '',
    `Fingerprint of the original weights: \`${fingerprint}\`. The plan is in \`moe_tune.json\`.`,
    '',
  ].join('\n');
}
