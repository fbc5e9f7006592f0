/** What becomes of an expert; `none` where a layer has no expert of that number. */
export type ExpertMark = 'none' | 'kept' | 'pruned' | 'merged';
