/** Names that the options of every command need: no schemas here, so that a command starts without them. */

/** Execution providers a person can ask for. */
export const providerNames = ['auto', 'cpu', 'cuda', 'webgpu', 'directml', 'coreml'] as const;

/** Precisions in which experts can run on a GPU. */
export const expertPrecisions = ['float32', 'float16', 'bfloat16'] as const;

export type ProviderName = (typeof providerNames)[number];
