import path from 'node:path';
import { inlineCode } from '../modelCard';
import type { Provenance } from '../provenance';
import type { PlannedGguf } from './planGguf';

/**
 * The README beside a GGUF file: what it is, how to run it, what differs from the checkpoint.
 * @param experts numbers that the experts of every MoE layer had in the checkpoint
 */
export function ggufCard(
  { resolved, fingerprint, activeExperts }: Provenance,
  experts: readonly (readonly number[])[],
  { file, tensors }: PlannedGguf,
): string {
  const { checkpoint, record } = resolved.recognised;
  const name = inlineCode(path.basename(checkpoint.folder));
  const typesOf = (layer: number) =>
    ['gate', 'up', 'down']
      .map((projection) => tensors.find((tensor) => tensor.name === `blk.${layer}.ffn_${projection}_exps.weight`)?.type)
      .filter((type) => type !== undefined)
      .join(', ');
  const rows = resolved.blocks.map(
    ({ layer, experts: before }, at) =>
      `| ${layer} | ${before.length} | ${experts[at]!.length} | ${activeExperts[at]} | ${typesOf(layer)} |`,
  );
  return [
    '---',
    'tags:',
    '- mixture-of-experts',
    '- gguf',
    '- moe-tuner',
    '---',
    '',
    `# ${name} as a GGUF file`,
    '',
    `${name} (${record.title}) with the changes of a plan, written by MoE Tuner for llama.cpp: \`llama-cli -m ${file.name}\`.`,
    '',
    '| Layer | Experts before | Experts | Active | Types of gate, up and down |',
    '| ---: | ---: | ---: | ---: | --- |',
    ...rows,
    '',
    `Fingerprint of the original weights: \`${fingerprint}\`. The plan is in \`moe_tune.json\`.`,
    '',
  ].join('\n');
}
