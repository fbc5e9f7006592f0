import type { ExpertScores } from '../../engine/protocol/expertScores';
import type { EditedLayer, PlanScores } from '../../engine/protocol/planEditor';
import type { CheckpointEntry } from '../config/checkpointStore';
import { isResultStale } from '../config/staleness';

/** The scores in the order of the layers; undefined where a layer is missing or has another number of experts. */
function rowsFor(layers: readonly EditedLayer[], { layers: scored }: ExpertScores): number[][] | undefined {
  const byLayer = new Map(scored.map(({ index, scores }) => [index, scores]));
  const rows = layers.map(({ index }) => byLayer.get(index) ?? []);
  return rows.every((row, at) => row.length === layers[at]?.experts) ? rows : undefined;
}

/** The methods whose scores fit the layers, each as a message of its own. */
export function planScores(
  { expertScores = [], summary }: Pick<CheckpointEntry, 'expertScores' | 'summary'>,
  layers: readonly EditedLayer[],
): PlanScores[] {
  return expertScores.flatMap((scores) => {
    const rows = layers.length === 0 ? undefined : rowsFor(layers, scores);
    const { method, title, rule, reference, tasks, calibrationTokens, finished } = scores;
    const tokens = calibrationTokens === undefined ? {} : { calibrationTokens };
    const stale = isResultStale(scores, summary);
    return rows === undefined
      ? []
      : [{ kind: 'scores', method, title, rule, reference, tasks, ...tokens, finished, rows, stale }];
  });
}
