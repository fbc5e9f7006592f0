import path from 'node:path';
import type { Plan } from '../protocol/plan';
import { exportTargets } from './targets';
import type { Provenance } from './provenance';
import { vllmPluginFolder } from './vllmPlugin';

/** How a person loads the artefact, by target and delivery. */
function loading({ target, delivery }: Provenance): readonly string[] {
  if (delivery !== 'loader') {
    return ['Load it like any checkpoint of its family: the numbers are in `config.json`.'];
  }
  return target === 'vllm'
    ? [
        `Install the plugin once, where vLLM runs: \`pip install ./${vllmPluginFolder}\` (from this folder). Then serve the folder as usual.`,
        'The plugin acts on this checkpoint only. It was generated, not run against your version of vLLM: it fails with a message where it does not fit.',
      ]
    : [
        '```python',
        'from moe_tuner_loader import load  # with this folder on the Python path',
        '',
        'model = load()',
        '```',
        'Without the loader every layer runs with the largest of its numbers, slower and close to the original.',
      ];
}

function reasons({ budget }: Plan): readonly string[] {
  if (budget === undefined) {
    return [];
  }
  const measured =
    budget.measuredKl === undefined ? '' : `, measured KL divergence ${budget.measuredKl} nats per token`;
  return [
    `Chosen by objective ${inlineCode(budget.objective)} and solver ${inlineCode(budget.solver)}, ${budget.total} active experts in all${measured}.`,
    '',
  ];
}

/** Sections of a plan that change weights, as sentences. */
function weightChanges({ plan, changes, resolved }: Provenance): readonly string[] {
  if (changes === undefined) {
    return [];
  }
  const { prune, merge, quantize, gates } = plan;
  const evidence = (tokens: number | undefined, seed: number) =>
    `${tokens === undefined ? '' : `calibrated on ${tokens} tokens, `}seed ${seed}`;
  const corrected = prune?.correction !== undefined || gates?.scale !== undefined;
  const sentences = [
    prune && `Pruned by ${inlineCode(prune.method)} (${evidence(prune.calibrationTokens, prune.seed)}).`,
    prune?.replacement &&
      `The router still chooses experts that went: ${prune.replacement === 'zero' ? 'zero' : 'their mean output'} stands in their place.`,
    merge &&
      `Merged by ${inlineCode(merge.method)} (${evidence(merge.calibrationTokens, merge.seed)}): a group stands where its first expert stood.`,
    quantize &&
      `Rounded by ${inlineCode(quantize.method)} (${evidence(quantize.calibrationTokens, quantize.seed)}); the rounded values are stored in the type of the original, so the files are no smaller for it.`,
    corrected && 'A factor per layer is part of the down projections: it belongs to the active experts below.',
    changes.removedPrediction > 0 &&
      `${changes.removedPrediction} tensors of next-token-prediction layers are left out, because their experts would not fit the new number.`,
  ].filter((sentence) => typeof sentence === 'string');
  const rows = resolved.blocks.map(({ layer, experts }, at) => {
    const kept = changes.experts[at]!;
    return `| ${layer} | ${experts.length} | ${kept.length} | ${kept.join(' ')} |`;
  });
  return [
    '## Experts',
    '',
    ...sentences.map((sentence) => `- ${sentence}`),
    '',
    '| layer | experts before | now | numbers they had |',
    '|---:|---:|---:|---|',
    ...rows,
    '',
  ];
}

/** The README of a written checkpoint: what was changed, how to load it, where it comes from. */
export function modelCard(provenance: Provenance): string {
  const { resolved, fingerprint, plan, activeExperts, target, changes } = provenance;
  const { checkpoint, record } = resolved.recognised;
  const name = path.basename(checkpoint.folder);
  const rows = resolved.blocks.map(
    (block, at) => `| ${block.layer} | ${block.experts.length} | ${block.activeExperts} | ${activeExperts[at]} |`,
  );
  const { note } = exportTargets[target].experts;
  return [
    '---',
    'tags:',
    '- mixture-of-experts',
    '- moe-tuner',
    '---',
    '',
    changes === undefined
      ? `# ${inlineCode(name)} with other active experts`
      : `# ${inlineCode(name)} with other experts`,
    '',
    changes === undefined
      ? `The weights are those of ${inlineCode(name)} (${record.title}), unchanged; the number of experts per token is not. Written for ${exportTargets[target].title} by MoE Tuner.`
      : `Made from ${inlineCode(name)} (${record.title}) by MoE Tuner for ${exportTargets[target].title}. Tensors of other parts of the model are the same bytes.`,
    '',
    '## Loading',
    '',
    ...(changes === undefined || note === undefined ? [] : [note, '']),
    ...loading(provenance),
    '',
    ...weightChanges(provenance),
    '## Active experts',
    '',
    ...reasons(plan),
    '| layer | experts | before | now |',
    '|---:|---:|---:|---:|',
    ...rows,
    '',
    '## Provenance',
    '',
    `\`moe_tune.json\` holds the plan${changes === undefined ? '' : ' and the fingerprint of these weights'}. Fingerprint of the ${changes === undefined ? 'weights' : "original's weights"}: \`${fingerprint}\`. The licence of the original applies.`,
    '',
  ].join('\n');
}

/** A text from outside as code within a line: nothing in it is read as Markdown or HTML. */
export function inlineCode(text: string): string {
  const line = text.replaceAll(/[\r\n\t]/g, ' ').replaceAll('|', '¦');
  const fence = '`'.repeat(1 + Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length)));
  const edge = line.startsWith('`') || line.endsWith('`') ? ' ' : '';
  return `${fence}${edge}${line}${edge}${fence}`;
}
