import { changeActiveExperts } from '../onnxModel/changeActiveExperts';
import { assertFittingNumbers } from '../onnxModel/fittingNumbers';
import { openOnnxModel } from '../onnxModel/openOnnxModel';
import { replaceModel } from '../onnxModel/replaceModel';
import type { SetActiveExpertsParams, SetActiveExpertsResult } from '../protocol/onnxModel';

/**
 * Gives the MoE operators of an ONNX model other numbers of active experts, in its own file. Weights are not touched, and the model as
 * it was stays beside it.
 * @throws TunerError `usage`, `unsupportedFeature`, `notMixtureOfExperts`, `notACheckpoint`, `writeFailed`
 */
export async function setActiveExperts({
  model: folder,
  activeExperts,
}: SetActiveExpertsParams): Promise<SetActiveExpertsResult> {
  const opened = await openOnnxModel(folder);
  const { model, operators, modelFile } = opened;
  assertFittingNumbers(activeExperts, opened, { code: 'usage' });
  const previous = operators.map((operator) => operator.activeExperts);
  const changed = changeActiveExperts(model, operators, activeExperts, modelFile);
  const result = { modelFile, previous, activeExperts: [...activeExperts], changed };
  return changed === 0 ? result : { ...result, original: (await replaceModel(modelFile, model)).original };
}
