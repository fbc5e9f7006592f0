/**
 * Config key of checkpoints whose weights this program computed (merged, rounded, scaled): which plan of which checkpoint
 * they come from. Names, shapes and routers can be those of the original, so its results would be taken for theirs.
 */
export const tunedWeightsKey = 'moe_tuner_weights';
