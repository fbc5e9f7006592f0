import type { CheckpointTokenizer } from './tokenizer';

/** What a decoder writes for bytes that are no character yet. */
const incomplete = '\uFFFD';
/** Tokens after which incomplete bytes are shown as they are: no character is longer. */
const longestCharacter = 8;

/**
 * Text of tokens that come one after the other. Decoders look at neighbours (spaces between words, characters of several tokens), so
 * a token's text is what it adds to the text of the few tokens before it.
 */
export class TokenPieces {
  private readonly ids: number[] = [];
  /** Tokens whose text is out, and the start of the last such stretch, which gives the next one its neighbours. */
  private shown = 0;
  private context = 0;

  constructor(private readonly tokenizer: Pick<CheckpointTokenizer, 'decode'>) {}

  /** What the next token adds to the text; empty while a character is incomplete. */
  add(id: number): string {
    const { ids, tokenizer } = this;
    ids.push(id);
    const before = tokenizer.decode(ids.slice(this.context, this.shown));
    const after = tokenizer.decode(ids.slice(this.context));
    if (after.endsWith(incomplete) && ids.length - this.shown < longestCharacter) {
      return '';
    }
    this.context = this.shown;
    this.shown = ids.length;
    return after.slice(before.length);
  }
}
