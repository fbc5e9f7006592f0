import { describe, expect, it } from 'vitest';
import { kindOfEvaluationFile } from '../../extension/commands/evaluationFiles';
import {
  measuresModel,
  offeredObjectives,
  pointRequest,
  totalChoices,
  totalLimits,
  totalProblem,
} from '../../extension/commands/budgetChoices';
import { budgetOutcome } from '../../extension/commands/budgetOutcome';
import { objectiveNames } from '../../engine/protocol/budget';
import { formatBytes, formatCount, formatNumber, formatPerplexity } from '../../extension/common/format';
import { fillIn } from '../../extension/common/localize';
import { RecentLog } from '../../extension/common/recentLog';
import { scrubPaths } from '../../extension/common/scrubPaths';
import { checkedSetting } from '../../extension/common/settingsTable';
import { budgetOf, summaryOf } from '../support/checkpointResults';

describe('numbers for people', () => {
  it.each([
    [0, '0'],
    [0.031249, '0.0312'],
    [4.205, '4.21'],
    [137.4, '137'],
    [99999, '99999'],
    [0.00001234, '1.23e-5'],
    [12345678, '1.23e+7'],
    [Number.NaN, 'NaN'],
  ])('%d is %s', (value, text) => {
    expect(formatNumber(value)).toBe(text);
  });

  it('have units', () => {
    expect(formatBytes(8_013_696)).toBe('8.01 MB');
    expect(formatBytes(999)).toBe('999 B');
    expect(formatBytes(999_999)).toBe('1 MB');
    expect(formatCount(28_300_000)).toBe('28.3 M');
    expect(formatCount(512)).toBe('512');
    expect(formatPerplexity(3.14159)).toBe('3.142');
  });
});

describe('sentences', () => {
  it('keep placeholders without a value', () => {
    expect(fillIn('{a} of {b}', { a: 1 })).toBe('1 of {b}');
  });
});

describe('settings', () => {
  it('fall back to the default where the value does not fit', () => {
    expect(checkedSetting('moeTuner.provider', 'cuda')).toBe('cuda');
    expect(checkedSetting('moeTuner.provider', 'abacus')).toBe('auto');
    expect(checkedSetting('moeTuner.threads', -3)).toBe(0);
    expect(checkedSetting('moeTuner.cache.limitGigabytes', null)).toBe(2);
  });
});

describe('shared diagnostics', () => {
  it('name folders instead of showing them, the longest first', () => {
    const folders = new Map([
      ['/home/ada', '~'],
      ['/home/ada/models', '<workspace 1>'],
    ]);
    expect(scrubPaths('/home/ada/models/x and /home/ada/.cache', folders)).toBe('<workspace 1>/x and ~/.cache');
  });

  it('leave the file system root alone', () => {
    expect(scrubPaths('/usr/lib', new Map([['/', '~']]))).toBe('/usr/lib');
  });

  it('hold the last lines of the log', () => {
    const seen: string[] = [];
    const sink = (message: string): number => seen.push(message);
    const log = new RecentLog({ debug: sink, info: sink, warn: sink, error: sink });
    for (let line = 0; line < 300; line++) {
      log.info(`line ${line}`);
    }
    log.error('end');
    expect(seen).toHaveLength(301);
    expect(log.lines).toHaveLength(200);
    expect(log.lines.at(-1)).toBe('[error] end');
  });
});

describe('files to evaluate on', () => {
  it.each([
    ['tasks.jsonl', '{"task": "copy", "prompt": "a>", "answer": "a"}\n{"task"', 'tasks'],
    ['text.jsonl', '{"text": "hello"}\n', 'text'],
    ['log.jsonl', '{"level": 3}\n', undefined],
    ['cut.jsonl', '{"text": "hello', undefined],
    ['book.txt', 'Call me', 'text'],
    ['merges.txt', '#version', undefined],
    ['LICENSE.txt', 'MIT', undefined],
    ['eval.json', '{ "wiki": ["one", "two"]}', 'text'],
    ['config.json', '{"num_experts": 8}', undefined],
    ['model.bin', '', undefined],
  ])('%s is %3$s', (name, head, kind) => {
    expect(kindOfEvaluationFile(name, head)).toBe(kind);
  });
});

describe('budgets on offer', () => {
  const summary = summaryOf({
    layers: [...summaryOf().layers, ...[3, 4].map((index) => ({ ...summaryOf().layers[1]!, index, active: 4 }))],
  });

  it('lie between one expert per layer and all that are active', () => {
    expect(totalLimits(summary)).toEqual({ minimum: 4, maximum: 12, layers: 4 });
    const choices = totalChoices(summary);
    expect(choices.map(({ total }) => total)).toEqual([11, 9, 8, 6, 5, 4]);
    expect(choices[1]).toMatchObject({ average: 2.25, share: 0.75 });
  });

  it('say what is wrong with a typed total', () => {
    expect(totalProblem('7', summary)).toBeUndefined();
    for (const text of ['3', '13', '4.5', 'many', '']) {
      expect(totalProblem(text, summary), text).toBeDefined();
    }
  });
});

describe('objectives on offer', () => {
  it('are all of the protocol in its order, auto first', () => {
    expect(offeredObjectives(true).map(([name]) => name)).toEqual(objectiveNames);
    for (const [name, description] of offeredObjectives(true)) {
      expect(description, name).not.toBe('');
    }
  });

  it('are the ones without text where the model cannot be run; auto stays and says what it does then', () => {
    const offered = offeredObjectives(false);
    expect(offered[0]).toEqual(['auto', expect.stringContaining('nothing can be measured')]);
    expect(offered.slice(1).filter(([name]) => measuresModel(name))).toEqual([]);
    expect(offered.map(([name]) => name)).toContain('lexi');
  });
});

describe('picking a point of the front', () => {
  const auto = budgetOf({ objective: 'auto', calibrationTokens: 4096 });

  it('solves the same objective at another total', () => {
    expect(pointRequest(budgetOf({ solver: 'greedy', seed: 7 }), [], 4)).toEqual({
      objective: 'lexi',
      solver: 'greedy',
      seed: 7,
      onText: false,
      unmeasured: false,
    });
  });

  it('of auto takes the measured choice where the total was searched, else the predicted one', () => {
    expect(pointRequest(auto, [3], 3)).toMatchObject({ objective: 'auto', onText: true, unmeasured: false });
    expect(pointRequest(auto, [3], 4)).toMatchObject({ objective: 'end-to-end', onText: true, unmeasured: true });
  });

  it('of auto without text stays without text', () => {
    const blind = budgetOf({ objective: 'auto', chosen: 'relative-squared' });
    expect(pointRequest(blind, [], 4)).toMatchObject({ objective: 'auto', onText: false, unmeasured: false });
  });
});

describe('the outcome of a budget run', () => {
  const quality = (kl: number): { kl: number; logPerplexity: number; accuracy: number } => ({
    kl,
    logPerplexity: 1,
    accuracy: 0.5,
  });
  const candidate = (name: string, kl: number): NonNullable<ReturnType<typeof budgetOf>['candidates']>[number] => ({
    name,
    activeExperts: [1, 2],
    predicted: null,
    measured: quality(kl),
  });

  it('is silent where the plan says everything', () => {
    expect(budgetOutcome(budgetOf())).toBeUndefined();
  });

  it('names the choice against uniform', () => {
    const candidates = [candidate('search', 0.018), candidate('uniform', 0.02)];
    const budget = budgetOf({ objective: 'auto', chosen: 'search', measured: quality(0.018), candidates });
    expect(budgetOutcome(budget)).toBe('Taken: "search", measured KL 0.018 nats per token, 10.0 % below uniform.');
  });

  it('says that a stopped search kept its best', () => {
    const budget = budgetOf({ interrupted: true, chosen: 'lexi', measured: quality(0.03) });
    expect(budgetOutcome(budget)).toBe(
      'Stopped; the best so far was kept. Taken: "lexi", measured KL 0.03 nats per token.',
    );
  });

  it('passes on the notes of the engine', () => {
    expect(budgetOutcome(budgetOf({ notes: ['No calibration text was given.'] }))).toBe(
      'No calibration text was given.',
    );
  });
});
