import { TunerError } from '../protocol/errors';
import type { TargetName } from '../protocol/apply';
import type { TextFile } from './artefactFiles';
import { llamaCppArchitectures } from './llamaCppArchitectures';

/** The arguments that give a runtime one number of active experts for all layers of the unchanged checkpoint. */
export interface UniformArguments {
  readonly target: TargetName;
  readonly family: string;
  /** Key of the number at the top of the config. */
  readonly configKey: string;
  readonly activeExperts: number;
}

/** A text file whose one line is what the command line of the runtime needs. */
export function argumentsFile({ target, family, configKey, activeExperts }: UniformArguments): TextFile {
  if (target === 'sglang') {
    const override = JSON.stringify({ [configKey]: activeExperts });
    return { name: 'sglang-arguments.txt', text: `--json-model-override-args '${override}'\n` };
  }
  const architecture = llamaCppArchitectures[family];
  if (target === 'llama.cpp' && architecture !== undefined) {
    const override = `${architecture}.expert_used_count=int:${activeExperts}`;
    return { name: 'llama.cpp-arguments.txt', text: `--override-kv ${override}\n` };
  }
  throw new TunerError('internal', `The target ${target} takes no arguments for ${family}.`);
}
