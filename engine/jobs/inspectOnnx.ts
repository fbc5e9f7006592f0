import { createHash } from 'node:crypto';
import { access } from 'node:fs/promises';
import path from 'node:path';
import { openOnnxModel, type MoeOperator, type OnnxModel } from '../onnxModel/openOnnxModel';
import type { CheckpointSummary } from '../protocol/checkpointSummary';

const reason = 'the model runs in ONNX Runtime as it is; measure the checkpoint it was exported from';

/** What an ONNX model with MoE operators is, in the words of `inspect`. */
export async function inspectOnnx(folder: string): Promise<CheckpointSummary> {
  const opened = await openOnnxModel(folder);
  const { config, operators, parameters, bytes } = opened;
  const byLayer = new Map(operators.map((operator) => [operator.layer, operator]));
  const count = Math.max(config.model.decoder.num_hidden_layers, ...operators.map(({ layer }) => layer + 1));
  const first = operators[0]!;
  const unused = operators.reduce(
    (sum, { experts, activeExperts, expertParameters }) => sum + (experts - activeExperts) * expertParameters,
    0,
  );
  const hasTokenizer = await access(path.join(opened.folder, 'tokenizer.json')).then(
    () => true,
    () => false,
  );
  return {
    folder: opened.folder,
    name: path.basename(opened.folder),
    family: 'onnx',
    modelType: config.model.type,
    parameters,
    activeParameters: parameters - unused,
    bytes,
    expertBytes: operators.reduce((sum, operator) => sum + operator.bytes, 0),
    dtype: [...new Set(operators.map(({ bits }) => `${bits} bits`))].join(', '),
    hiddenSize: first.hiddenSize,
    expertIntermediateSize: first.intermediateSize,
    vocabularySize: config.model.vocab_size,
    experts: Math.max(...operators.map(({ experts }) => experts)),
    activeExperts: Math.max(...operators.map(({ activeExperts }) => activeExperts)),
    fingerprint: onnxFingerprint(opened),
    hasTokenizer,
    configKeys: { experts: 'model.decoder', activeExperts: 'model.decoder' },
    forward: { supported: false, reason },
    block: { supported: false, reason },
    layers: Array.from({ length: count }, (_, index) => {
      const operator = byLayer.get(index);
      return {
        index,
        moe: operator !== undefined,
        experts: operator?.experts ?? 0,
        active: operator?.activeExperts ?? 0,
        sharedExperts: 0,
        expertBytes: operator?.bytes ?? 0,
        ...(operator === undefined ? {} : { expertParameters: operator.expertParameters }),
      };
    }),
    warnings: [],
  };
}

/** Identity of a model's experts: names and shapes of its operators, whatever their active experts. */
export function onnxFingerprint({ operators }: Pick<OnnxModel, 'operators'>): string {
  const facts = operators.map(({ node, layer, experts, bits, hiddenSize, intermediateSize, bytes }: MoeOperator) => [
    node.opType,
    node.name,
    layer,
    experts,
    bits,
    hiddenSize,
    intermediateSize,
    bytes,
  ]);
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex');
}
