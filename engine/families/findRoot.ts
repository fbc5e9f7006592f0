import type { Checkpoint } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import type { ModelTensorNames, TensorRoot } from './familyRecord';

/**
 * Where the decoder layers are: the first candidate below which layers are found.
 * @throws TunerError `missingTensor`
 */
export function findRoot(checkpoint: Checkpoint, names: ModelTensorNames): TensorRoot {
  const stem = names.layer.split('{layer}')[0]!;
  const found = names.roots.find(({ root }) => startsAny(checkpoint, root + stem));
  if (found === undefined) {
    throw new TunerError('missingTensor', 'No decoder layers were found below any known prefix.', {
      file: checkpoint.folder,
      place: names.roots.map(({ root }) => root + stem).join(', '),
      wayOut: `The checkpoint has, for example, ${[...checkpoint.tensors.keys()].slice(0, 3).join(', ') || 'no tensors'}.`,
    });
  }
  return found;
}

function startsAny(checkpoint: Checkpoint, prefix: string): boolean {
  for (const name of checkpoint.tensors.keys()) {
    if (name.startsWith(prefix)) {
      return true;
    }
  }
  return false;
}
