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
 * Names of the tensors that predict further tokens during training, where they have experts of their own: layers past the
 * configured count, and `mtp` modules. Their routers share the config's expert count with the model, and no measurement
 * says which of their experts could go.
 */
export function predictionTensors({ recognised, layerCount }: ResolvedModel): string[] {
  const { checkpoint, root, names, record } = recognised;
  const stem = root.root + names.layer.split('{layer}')[0]!;
  const found = [...checkpoint.tensors.keys()].filter(
    (name) =>
      predictionModule.test(name) ||
      (name.startsWith(stem) && Number.parseInt(name.slice(stem.length), 10) >= layerCount),
  );
  const routed = found.some((name) => name.endsWith(record.router.weight) || /\bexperts\b/.test(name));
  return routed ? found : [];
}
