import { activeExpertKeys, expertCountKeys } from '../../engine/protocol/configAliases';

/**
 * Names under which model configurations keep the facts that the editor shows. Only a cheap pre-check and the place of
 * the text decorations depend on this table; what a checkpoint really is, the engine decides.
 */
export const configKeyAliases = {
  experts: expertCountKeys,
  activeExperts: activeExpertKeys,
  dtype: ['dtype', 'torch_dtype'],
  modelType: ['model_type'],
} as const;

export type ConfigFactName = keyof typeof configKeyAliases;

/** Objects inside `config.json` that can hold the language model's keys, in the order in which they are searched. */
export const configSections: readonly (readonly string[])[] = [
  [],
  ['text_config'],
  ['thinker_config', 'text_config'],
  ['language_config'],
  ['llm_config'],
  ['ffn_config'],
];
