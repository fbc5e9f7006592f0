import type { z } from 'zod';
import { budgetResultSchema } from '../protocol/budget';
import { calibrateResultSchema } from '../protocol/calibration';
import { evaluateResultSchema } from '../protocol/evaluation';
import { expertScoresSchema, pruneRunSchema } from '../protocol/expertScores';
import { mergeRunSchema } from '../protocol/merging';
import type { History } from '../protocol/messages';
import { quantizeResultSchema } from '../protocol/quantization';
import { profileResultSchema } from '../protocol/sensitivity';
import { newestScores } from './expertScores';
import { isOnnxModel } from '../onnxModel/isOnnxModel';
import { openOnnxModel } from '../onnxModel/openOnnxModel';
import { onnxFingerprint } from './inspectOnnx';
import { openModel } from './openModel';
import type { ResultKind } from './resultCache';
import type { EngineServices } from './services';

/** Finished results on a checkpoint, oldest first; entries of older versions that no longer validate are left out. */
export async function history(folder: string, services: EngineServices): Promise<History> {
  const { fingerprint, resultsKey } = (await isOnnxModel(folder))
    ? await onnxIdentity(folder)
    : await openModel(folder);
  const valid = async <Schema extends z.ZodType>(kind: ResultKind, schema: Schema): Promise<z.infer<Schema>[]> =>
    (await services.cache.results(resultsKey, kind)).flatMap((value) => {
      const parsed = schema.safeParse(value);
      return parsed.success ? [parsed.data] : [];
    });
  return {
    fingerprint,
    profiles: await valid('profile', profileResultSchema),
    budgets: await valid('budget', budgetResultSchema),
    evaluations: await valid('evaluation', evaluateResultSchema),
    calibrations: await valid('calibration', calibrateResultSchema),
    expertScores: newestScores(await valid('scores', expertScoresSchema)),
    pruneRuns: await valid('pruning', pruneRunSchema),
    mergeRuns: await valid('merging', mergeRunSchema),
    quantizations: await valid('quantization', quantizeResultSchema),
  };
}

async function onnxIdentity(folder: string): Promise<{ fingerprint: string; resultsKey: string }> {
  const fingerprint = onnxFingerprint(await openOnnxModel(folder));
  return { fingerprint, resultsKey: fingerprint };
}
