import { quietJob } from '../measure/jobContext';
import { pruneMethods, pruneMethodNamed, type SinglePruneMethodName } from '../methods/prune/registry';
import type { CalibrationStatistics } from '../methods/statistics';
import { TunerError } from '../protocol/errors';
import type { ExpertScores, PruneRun } from '../protocol/expertScores';
import type { PruneResult } from '../protocol/pruning';
import type { OpenModel } from './openModel';
import { rankLayer } from './pruneRankings';
import { runtimeOptions, type EngineServices } from './services';

/** Methods whose scores are one division of sums that every calibration holds: they cost nothing to keep for all of them. */
const instantMethods = ['frequency', 'gate-mass', 'ean', 'man', 'msan', 'reap', 'razor', 'easy-ep'] as const;

/** Digits of a kept score: enough to rank by, and half the bytes. */
const keptDigits = 6;

/** Scores of every expert per MoE layer by one method. */
export interface MethodScores {
  readonly method: SinglePruneMethodName;
  readonly scores: readonly (readonly number[])[];
}

/** What the scores were computed from. */
export interface ScoreEvidence {
  readonly statistics: CalibrationStatistics | undefined;
  /** Tags of the statistics that were ranked by; all texts when empty. */
  readonly tags: readonly string[];
  readonly seed: number;
}

/**
 * Keeps scores in the history of a checkpoint. With statistics, those of all methods that only divide their sums are kept too, so
 * that an editor may switch between them without another run. The cache bounds how many stay.
 */
export async function keepExpertScores(
  model: OpenModel,
  services: EngineServices,
  evidence: ScoreEvidence,
  computed: readonly MethodScores[],
): Promise<void> {
  const done = new Set(computed.map(({ method }) => method));
  const missing = evidence.statistics === undefined ? [] : instantMethods.filter((method) => !done.has(method));
  const instant = await Promise.all(missing.map((method) => instantScores(method, model, services, evidence)));
  const finished = new Date().toISOString();
  for (const { method, scores } of [...computed, ...instant.flat()]) {
    const { title, explanation, source, needs } = pruneMethodNamed(method);
    // Chance is a control, not an opinion about experts.
    if (needs === 'nothing') {
      continue;
    }
    const kept: ExpertScores = {
      fingerprint: model.fingerprint,
      method,
      title,
      rule: explanation,
      reference: source,
      tasks: [...evidence.tags],
      ...(evidence.statistics === undefined ? {} : { calibrationTokens: evidence.statistics.tokens }),
      seed: evidence.seed,
      finished,
      layers: model.resolved.blocks.map(({ layer }, position) => ({
        index: layer,
        scores: [...scores[position]!].map((score) => Number(score.toPrecision(keptDigits))),
      })),
    };
    await services.cache.addResult(model.resultsKey, 'scores', kept);
  }
}

/** The scores of one method over all layers; none where the statistics lack what it needs. */
async function instantScores(
  method: SinglePruneMethodName,
  { resolved: { blocks } }: OpenModel,
  services: EngineServices,
  { statistics, tags, seed }: ScoreEvidence,
): Promise<MethodScores[]> {
  const job = quietJob();
  const sources = { blocks, statistics, tags, baseBlocks: undefined, runtime: await runtimeOptions(services), job };
  const scores: (readonly number[])[] = [];
  try {
    for (const position of blocks.keys()) {
      scores.push((await rankLayer(pruneMethods[method], position, sources, seed)).scores);
    }
  } catch (error) {
    if (TunerError.is(error, 'usage')) {
      return [];
    }
    throw error;
  }
  return [{ method, scores }];
}

/** Keeps what a run decided, so that a later change by hand can be told from it. */
export async function keepPruneRun(model: OpenModel, services: EngineServices, result: PruneResult): Promise<void> {
  const { fingerprint, method, chosen, ratio, layers, measured, calibrationTokens, seed, plan } = result;
  const run: PruneRun = {
    fingerprint,
    method,
    ...(chosen === undefined ? {} : { chosen }),
    ratio,
    keep: layers.map(({ keep }) => keep),
    ...(measured === undefined ? {} : { measured }),
    ...(calibrationTokens === undefined ? {} : { calibrationTokens }),
    seed,
    ...(plan === undefined ? {} : { plan }),
    finished: new Date().toISOString(),
  };
  await services.cache.addResult(model.resultsKey, 'pruning', run);
}

/** Of each method, the scores that were computed last. */
export function newestScores(scores: readonly ExpertScores[]): ExpertScores[] {
  return [...new Map(scores.map((each) => [each.method, each])).values()];
}
