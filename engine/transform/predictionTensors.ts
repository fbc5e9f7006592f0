import { predictionModule, type ResolvedModel } from '../families/resolveModel';

/** Config keys with the number of next-token-prediction layers or modules. */
export const predictionCountKeys = [
  'num_nextn_predict_layers',
  'mtp_num_hidden_layers',
  'num_mtp_modules',
  'num_mtp_layers',
  'mtp_num_layers',
  'n_mtp_layers',
] as const;

/**
 * Names of the tensors that predict further tokens during training, where they have experts of their own. Their routers share
 * the config's expert count with the model, and no measurement says which of their experts could go.
 */
export function predictionTensors(resolved: ResolvedModel): string[] {
  const found = allPredictionTensors(resolved);
  const { router } = resolved.recognised.record;
  const routed = found.some((name) => name.endsWith(router.weight) || /\bexperts\b/.test(name));
  return routed ? found : [];
}

/** Names of all tensors that predict further tokens: layers past the configured count, and `mtp` modules. */
export function allPredictionTensors({ recognised, layerCount }: ResolvedModel): string[] {
  const { checkpoint, root, names } = recognised;
  const stem = root.root + names.layer.split('{layer}')[0]!;
  return [...checkpoint.tensors.keys()].filter(
    (name) =>
      predictionModule.test(name) ||
      (name.startsWith(stem) && Number.parseInt(name.slice(stem.length), 10) >= layerCount),
  );
}
