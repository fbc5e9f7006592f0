import path from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { TunerError } from '../protocol/errors';
import { isJsonObject, parseJson } from './jsonText';
import { readTextFile } from './textFile';
import type { Checkpoint, ConfigObject } from './types';

/** The tokenizer of a checkpoint. */
export interface CheckpointTokenizer {
  /** Token ids of a text; no special tokens are added. */
  encode(text: string): number[];
  /** Token that separates texts: end of text, else beginning of text; undefined when the checkpoint names neither. */
  readonly separatorId: number | undefined;
  readonly vocabularySize: number;
}

export async function loadTokenizer(checkpoint: Checkpoint): Promise<CheckpointTokenizer> {
  throw new TunerError(
    'internal',
    String([checkpoint, path, Tokenizer, isJsonObject, parseJson, readTextFile] as unknown as ConfigObject),
  );
}
