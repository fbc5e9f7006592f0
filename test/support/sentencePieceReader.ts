/**
 * Token ids of a text by the tokenizer of a GGUF file of the model "llama": the algorithm of SentencePiece as llama.cpp has it (the
 * neighbours whose joined text has the highest score become one, the leftmost of equals first; what has no token becomes bytes),
 * written slowly and without any code of the engine. Special tokens in texts are plain text, as without `parse_special`.
 */
export function sentencePieceTokens(metadata: ReadonlyMap<string, unknown>, text: string): number[] {
  const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
  const types = metadata.get('tokenizer.ggml.token_type') as number[];
  const scores = metadata.get('tokenizer.ggml.scores') as number[];
  if (metadata.get('tokenizer.ggml.model') !== 'llama' || tokens.length !== scores.length) {
    throw new Error('This is no tokenizer of SentencePiece.');
  }
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const own = tokens.filter((_, id) => types[id] === userDefined);
  const prefix = metadata.get('tokenizer.ggml.add_space_prefix') === true ? ' ' : '';
  return cutOut(text, own).flatMap((part) =>
    own.includes(part) ? [ids.get(part)!] : merged(`${prefix}${part}`.replaceAll(' ', '▁'), ids, scores),
  );
}

const userDefined = 4;

/** The text cut so that user-defined tokens stand alone, empty parts left out. */
function cutOut(text: string, own: readonly string[]): string[] {
  const [token, ...others] = own;
  if (token === undefined) {
    return text === '' ? [] : [text];
  }
  return text.split(token).flatMap((part, at) => [...(at === 0 ? [] : [token]), ...cutOut(part, others)]);
}

function merged(text: string, ids: ReadonlyMap<string, number>, scores: readonly number[]): number[] {
  const symbols = Array.from(text);
  for (;;) {
    let best = -1;
    let most = -Infinity;
    for (let at = 0; at + 1 < symbols.length; at += 1) {
      const id = ids.get(symbols[at]! + symbols[at + 1]!);
      if (id !== undefined && scores[id]! > most) {
        best = at;
        most = scores[id]!;
      }
    }
    if (best < 0) {
      break;
    }
    symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!);
  }
  return symbols.flatMap((symbol) => {
    const id = ids.get(symbol);
    return id === undefined ? [...Buffer.from(symbol, 'utf8')].map((byte) => byteToken(byte, ids)) : [id];
  });
}

function byteToken(byte: number, ids: ReadonlyMap<string, number>): number {
  const id = ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  if (id === undefined) {
    throw new Error(`There is no token for the byte ${byte}.`);
  }
  return id;
}
