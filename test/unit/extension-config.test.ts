import { describe, expect, it } from 'vitest';
import { TunerError } from '../../engine/protocol/errors';
import { findingCodes } from '../../extension/common/findings';
import type { CheckpointEntry } from '../../extension/config/checkpointStore';
import { findConfigEntry, looksLikeMixtureOfExperts, readConfigFacts } from '../../extension/config/configFacts';
import { configFindings } from '../../extension/config/configFindings';
import { configLenses, type LensSituation } from '../../extension/config/configLenses';
import { inlineResults } from '../../extension/config/inlineResults';
import { budgetOf, evaluationOf, profileOf, summaryOf } from '../support/checkpointResults';

const mixtral = `{
  "model_type": "mixtral",
  "num_local_experts": 8,
  "num_experts_per_tok": 2,
  "torch_dtype": "bfloat16"
}`;

function entryOf(change: Partial<CheckpointEntry> = {}): CheckpointEntry {
  return { folder: '/models/mixtral', label: 'mixtral', state: 'ready', evaluations: [], ...change };
}

describe('facts of a config', () => {
  it('come with the place of key and value', () => {
    const { experts, activeExperts, dtype } = readConfigFacts(mixtral);
    expect(experts).toMatchObject({ path: 'num_local_experts', value: 8 });
    expect(mixtral.slice(experts!.valueSpan.offset, experts!.valueSpan.offset + experts!.valueSpan.length)).toBe('8');
    const { offset, length } = activeExperts!.property;
    expect(mixtral.slice(offset, offset + length)).toBe('"num_experts_per_tok": 2');
    expect(dtype?.value).toBe('bfloat16');
  });

  it.each([
    ['text_config', { text_config: { num_experts: 64, num_experts_per_tok: 8 } }],
    ['thinker_config.text_config', { thinker_config: { text_config: { num_experts: 64, num_experts_per_tok: 8 } } }],
  ])('are found in %s', (section, config) => {
    const facts = readConfigFacts(JSON.stringify(config));
    expect(facts.experts?.path).toBe(`${section}.num_experts`);
    expect(facts.activeExperts?.value).toBe(8);
  });

  it('of DBRX are found in ffn_config', () => {
    const facts = readConfigFacts('{"ffn_config": {"moe_num_experts": 16, "moe_top_k": 4}}');
    expect(facts.experts?.path).toBe('ffn_config.moe_num_experts');
    expect(facts.activeExperts?.path).toBe('ffn_config.moe_top_k');
  });

  it('skip keys that are null and prefer the top level', () => {
    const facts = readConfigFacts('{"num_experts": null, "n_routed_experts": 64, "text_config": {"num_experts": 2}}');
    expect(facts.experts?.path).toBe('n_routed_experts');
  });

  it.each(['', '[]', 'null', '{', '{"num_experts": [8, 8]}', '{"num_experts": 1}', '{"hidden_size": 8}'])(
    'of %j are no mixture of experts',
    (text) => {
      expect(looksLikeMixtureOfExperts(readConfigFacts(text))).toBe(false);
    },
  );

  it('survive an unfinished edit', () => {
    const facts = readConfigFacts(mixtral.replace('"torch_dtype": "bfloat16"', '"torch_dtype": '));
    expect(facts.experts?.value).toBe(8);
  });

  it('finds any dotted path', () => {
    expect(findConfigEntry('{"a": {"b": 5}}', 'a.b')?.value).toBe(5);
    expect(findConfigEntry('{"a": {"b": 5}}', 'a.c')).toBeUndefined();
  });
});

describe('lenses', () => {
  const facts = readConfigFacts(mixtral);
  const titles = (entry: CheckpointEntry | undefined, situation = { trusted: true, onDisk: true }): string[] =>
    configLenses(facts, entry, situation).map(({ title }) => title);

  it('are there before the engine has said anything', () => {
    expect(titles(undefined)).toEqual([
      '2 of 8 experts active',
      'Profile sensitivity',
      'Find budgets…',
      'Evaluate…',
      'Generate…',
    ]);
  });

  it('only inform in Restricted Mode and in virtual workspaces', () => {
    expect(titles(undefined, { trusted: false, onDisk: true })).toEqual([
      '2 of 8 experts active',
      'Trust this folder to measure',
    ]);
    expect(titles(undefined, { trusted: true, onDisk: false })).toEqual(['2 of 8 experts active']);
  });

  it('leave out what the engine cannot do with the checkpoint', () => {
    const summary = summaryOf({ forward: { supported: false, reason: 'no attention' } });
    expect(titles(entryOf({ summary }))).not.toContain('Evaluate…');
    expect(titles(entryOf({ summary }))).toContain('Profile sensitivity');
    const noBlock = summaryOf({ block: { supported: false, reason: 'unknown' } });
    expect(titles(entryOf({ summary: noBlock }))).not.toContain('Profile sensitivity');
  });

  it('show why the engine refused', () => {
    const error = new TunerError('unknownFamily', 'The family "x" is unknown.');
    expect(titles(entryOf({ state: 'failed', error }))).toEqual([
      '2 of 8 experts active',
      '$(warning) The family "x" is unknown.',
    ]);
  });

  it('add what the headers say to the expert and dtype lines', () => {
    const shown = titles(entryOf({ summary: summaryOf() }));
    expect(shown).toContain('2 MoE layers · 1.2 M of 5 M parameters active');
    expect(shown).toContain('10 MB stored, 8 MB of it experts');
  });

  it('offer pruning and merging at the experts, quantizing at the dtype, where something can be done', () => {
    const at = (situation: LensSituation, summary = summaryOf()) =>
      configLenses(facts, entryOf({ summary }), situation)
        .filter(({ command }) => command !== undefined && /prune|merge|quantize/.test(command))
        .map(({ anchor, title }) => [anchor.path, title]);
    const noBlock = summaryOf({ block: { supported: false, reason: 'unknown' } });
    expect(at({ trusted: true, onDisk: true })).toEqual([
      ['num_local_experts', 'Prune…'],
      ['num_local_experts', 'Merge…'],
      ['torch_dtype', 'Quantize…'],
    ]);
    expect(at({ trusted: false, onDisk: true })).toEqual([]);
    expect(at({ trusted: true, onDisk: false })).toEqual([]);
    expect(at({ trusted: true, onDisk: true }, noBlock)).toEqual([]);
  });

  it('leave other models alone', () => {
    expect(configLenses(readConfigFacts('{"hidden_size": 1}'), undefined, { trusted: true, onDisk: true })).toEqual([]);
  });
});

describe('findings', () => {
  const findings = (text: string, entry?: CheckpointEntry, saved = true): ReturnType<typeof configFindings> =>
    configFindings(text, readConfigFacts(text), entry, saved);

  it('are none for a sound config', () => {
    expect(findings(mixtral, entryOf({ summary: summaryOf() }))).toEqual([]);
  });

  it('name k above the experts and repair it', () => {
    const text = mixtral.replace('per_tok": 2', 'per_tok": 12');
    const [finding] = findings(text);
    expect(finding).toMatchObject({ code: findingCodes.activeAboveExperts, severity: 'error' });
    const [fix] = finding!.fixes;
    const repaired =
      text.slice(0, fix!.span.offset) + fix!.replacement + text.slice(fix!.span.offset + fix!.span.length);
    expect(findings(repaired)).toEqual([]);
    expect(readConfigFacts(repaired).activeExperts?.value).toBe(8);
  });

  it.each(['0', '-1', '2.5', '"2"', 'true'])('refuse %s active experts', (value) => {
    const [finding] = findings(mixtral.replace('per_tok": 2', `per_tok": ${value}`));
    expect(finding?.code).toBe(findingCodes.activeNotPositive);
  });

  it('put a contradiction with the tensors on the key that the engine names, with its repair', () => {
    const error = new TunerError('contradictoryConfig', 'The config says 8 experts, the router has 16 rows.', {
      place: 'num_local_experts',
      wayOut: 'Set num_local_experts to 16.',
      fix: { key: 'num_local_experts', value: 16 },
    });
    const entry = entryOf({ state: 'failed', error });
    const [finding] = findings(mixtral, entry);
    expect(finding).toMatchObject({ code: findingCodes.contradictsTensors, severity: 'error' });
    expect(finding?.span).toEqual(readConfigFacts(mixtral).experts?.valueSpan);
    expect(finding?.fixes[0]?.replacement).toBe('16');
    expect(findings(mixtral, entry, false)).toEqual([]);
  });

  it('do not repeat what the text shows already', () => {
    const text = mixtral.replace('per_tok": 2', 'per_tok": 12');
    const fix = { key: 'num_experts_per_tok', value: 8 };
    const error = new TunerError('contradictoryConfig', '12 are more than 8.', { fix });
    expect(findings(text, entryOf({ state: 'failed', error }))).toHaveLength(1);
  });

  it('warn where the files are right but this build does not know them', () => {
    const error = new TunerError('unknownFamily', 'Unknown.');
    expect(findings(mixtral, entryOf({ state: 'failed', error }))[0]?.severity).toBe('warning');
    const missing = new TunerError('missingShard', 'A shard is missing.', {
      file: '/models/mixtral/model-2.safetensors',
    });
    expect(findings(mixtral, entryOf({ state: 'failed', error: missing }))[0]?.severity).toBe('error');
  });

  it('do not take a dead engine for a broken checkpoint', () => {
    const error = new TunerError('engineCrashed', 'The engine was ended.');
    expect(findings(mixtral, entryOf({ state: 'found', error }))).toEqual([]);
  });
});

describe('inline results', () => {
  const facts = readConfigFacts(mixtral);

  it('stand on the lines they belong to', () => {
    const entry = entryOf({ summary: summaryOf(), profile: profileOf(), evaluations: [evaluationOf()] });
    const [sensitivity, evaluation] = inlineResults(facts, entry);
    expect(sensitivity?.anchor.path).toBe('num_experts_per_tok');
    expect(sensitivity?.text).toBe(
      'Sensitivity at 1 of 2: layer 1 changes most (30.0 %), layer 0 least (10.0 %) · CoV 0.8 %',
    );
    expect(sensitivity?.markdown).toContain('| 1 | 30.0 % | 0.0 % | 0.8 % |');
    expect(evaluation?.anchor.path).toBe('model_type');
    expect(evaluation?.text).toBe(
      'small.moeplan.json: perplexity 3.250, accuracy 90.0 % · Baseline: perplexity 3.000, accuracy 97.7 %',
    );
    expect(evaluation?.stale).toBe(false);
  });

  it('are stale when weights or the active-expert count changed', () => {
    const profile = profileOf();
    const other = entryOf({ summary: summaryOf({ fingerprint: 'other' }), profile });
    expect(inlineResults(facts, other)[0]?.stale).toBe(true);
    const edited = readConfigFacts(mixtral.replace('per_tok": 2', 'per_tok": 3'));
    const [result] = inlineResults(edited, entryOf({ summary: summaryOf(), profile }));
    expect(result?.stale).toBe(true);
    expect(result?.text).toMatch(/· stale$/);
    expect(result?.markdown).toContain('Stale');
  });

  it('explain the number of every layer of the newest budgets', () => {
    const budget = budgetOf({
      objective: 'auto',
      chosen: 'search',
      calibrationTokens: 4096,
      measured: { kl: 0.0214, logPerplexity: 1.2, accuracy: 0.5 },
      table: [
        { layer: 1, loss: [0.02, 0] },
        { layer: 2, loss: [0.05, 0] },
      ],
    });
    const [result] = inlineResults(facts, entryOf({ summary: summaryOf(), budget }));
    expect(result?.anchor.path).toBe('num_experts_per_tok');
    expect(result?.text).toBe('Budgets: 1.50 on average, 25.0 % of expert FLOPs saved · measured KL 0.0214');
    expect(result?.markdown).toContain('predictions: KL in nats per token');
    expect(result?.markdown).toContain('its search measured this allocation as better');
    expect(result?.markdown).toContain('| 1 | 1 of 2 | 0.02 |  | −0.02 | 50.0 % |');
    expect(result?.markdown).toContain('| 2 | 2 of 2 | 0 | +0.05 |  | 0.0 % |');
    const edited = readConfigFacts(mixtral.replace('per_tok": 2', 'per_tok": 3'));
    expect(inlineResults(edited, entryOf({ summary: summaryOf(), budget }))[0]?.stale).toBe(true);
    const other = entryOf({ summary: summaryOf(), budget: budgetOf({ layers: [7, 8] }) });
    expect(inlineResults(facts, other)).toEqual([]);
  });

  it('know the numbers of a list and where each stands', () => {
    const text = '{"num_experts": 8, "moe_topk": [2, 1]}';
    const numbers = readConfigFacts(text).activeExperts?.numbers ?? [];
    expect(numbers.map(({ value, span }) => [value, text.slice(span.offset, span.offset + span.length)])).toEqual([
      [2, '2'],
      [1, '1'],
    ]);
  });

  it('are none before anything was measured', () => {
    expect(inlineResults(facts, entryOf())).toEqual([]);
    expect(inlineResults(facts, undefined)).toEqual([]);
  });
});
