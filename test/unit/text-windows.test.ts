import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { loadDatasets, loadTasks } from '../../engine/checkpoint/datasets';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { loadTokenizer, type CheckpointTokenizer } from '../../engine/checkpoint/tokenizer';
import { makeTaskSequences, makeWindows } from '../../engine/checkpoint/windows';
import { sharedPath } from '../support/sharedMaterial';

/** One token a character: its code. */
const characters: CheckpointTokenizer = {
  decode: (ids) => String.fromCodePoint(...ids),
  encode: (text) => Array.from(text, (character) => character.charCodeAt(0)),
  parts: (text) => [text],
  separatorId: 0,
  beginning: [],
  vocabularySize: 256,
};

function show(windows: readonly Int32Array[]): string[] {
  return windows.map((window) => [...window].map((id) => (id === 0 ? '|' : String.fromCharCode(id))).join(''));
}

describe('windows', () => {
  const dataset = { name: 'x', texts: ['abcde', '', 'fg', 'hijklmno'] };

  it('are cut from the joined texts, each after a separator, without the incomplete rest', () => {
    expect(show(makeWindows(dataset, characters, { length: 4 }))).toEqual(['|abc', 'de||', 'fg|h', 'ijkl']);
    expect(show(makeWindows(dataset, characters, { length: 4, windows: 2 }))).toEqual(['|abc', 'de||']);
    expect(show(makeWindows(dataset, characters, { length: 100 }))).toEqual(['|abcde||fg|hijklmno']);
    const unseparated = { ...characters, separatorId: undefined };
    expect(show(makeWindows(dataset, unseparated, { length: 5 }))).toEqual(['abcde', 'fghij', 'klmno']);
  });

  it('do not read texts behind the last window asked for', () => {
    const seen: string[] = [];
    const spy = { ...characters, encode: (text: string) => (seen.push(text), characters.encode(text)) };
    makeWindows({ name: 'x', texts: ['abcdefgh', 'never'] }, spy, { length: 4, windows: 2 });
    expect(seen).toEqual(['abcdefgh']);
  });

  it('per document are one text each, cut to the length', () => {
    const perDocument = true;
    expect(show(makeWindows(dataset, characters, { length: 4, perDocument }))).toEqual(['|abc', '|fg', '|hij']);
    expect(show(makeWindows(dataset, characters, { length: 4, perDocument, windows: 2 }))).toEqual(['|abc', '|fg']);
  });

  it('refuse a dataset in which nothing can be predicted', () => {
    for (const options of [{ length: 4 }, { length: 4, perDocument: true }]) {
      expect(() => makeWindows({ name: 'void', texts: ['', ''].slice(1) }, characters, options)).toThrow(/void/);
    }
  });

  it('of tasks mark the answer', () => {
    const [sequence] = makeTaskSequences([{ task: 'copy', prompt: 'ab>', answer: 'ab.' }], characters);
    expect(sequence).toMatchObject({ task: 'copy', answerStart: 3, answerEnd: 6 });
    expect(show([sequence!.ids])).toEqual(['ab>ab.']);
  });

  it('of tasks begin as the tokenizer begins a text, and with the separator where nothing else stands first', () => {
    const item = { task: 'copy', prompt: 'ab>', answer: 'ab.' };
    const [begun] = makeTaskSequences([item], { ...characters, beginning: [94] });
    expect(begun).toMatchObject({ answerStart: 4, answerEnd: 7 });
    expect(show([begun!.ids])).toEqual(['^ab>ab.']);
    const [unasked] = makeTaskSequences([{ ...item, prompt: '' }], characters);
    expect(unasked).toMatchObject({ answerStart: 1, answerEnd: 4 });
    expect(show([unasked!.ids])).toEqual(['|ab.']);
  });

  it('of tasks without prompt or answer are refused', () => {
    const unseparated = { ...characters, separatorId: undefined };
    const item = { task: 'copy', prompt: '', answer: 'ab.' };
    expect(() => makeTaskSequences([item], unseparated)).toThrow(/no token in its prompt/);
    expect(() => makeTaskSequences([{ ...item, prompt: 'ab>', answer: '' }], characters)).toThrow(/in its answer/);
  });
});

function digest(sequences: readonly Int32Array[]): string {
  const hash = createHash('sha256');
  for (const ids of sequences) {
    hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  return hash.digest('hex');
}

const textModel = sharedPath('models/text');
const textFile = sharedPath('eval/text-eval.json');

/** SHA-256 over the little-endian int32 ids of the windows, computed with the reference library tokenizers 0.23.2 (Rust). */
const referenceWindows = [
  ['prose', 110, 'd72240ff6de454557d1257b3127918bd76521c55833d7abc780a47e529805f36'],
  ['fr', 114, '85674130bf5973285afc6a04a041c5de3bb73e1d9754aade05dc2ec36b2ec95d'],
  ['code_py', 103, '86d80b6320e68255047fae710ddcadd11ebec9331643ff7a952a4ca49d18ce26'],
  ['man_en', 103, '9bf244cc7822d815b1c04a03fc796ce5453120e764f344b1fff9376b855441c7'],
  ['wikitext2_test', 881, 'dd3c3b359bc6943d92b3bc2f714d050c2b977b65914f87ce077b188b64b5a32a'],
] as const;

describe.skipIf(textModel === undefined || textFile === undefined)('the trained text model', () => {
  it('gives the windows of the reference tokenizer for all evaluation texts', async () => {
    const tokenizer = await loadTokenizer(await openCheckpoint(textModel!));
    expect(tokenizer).toMatchObject({ separatorId: 0, vocabularySize: 4096 });
    const windows = (await loadDatasets([textFile!])).map((dataset) => {
      const cut = makeWindows(dataset, tokenizer, { length: 512 });
      return [dataset.name, cut.length, digest(cut)];
    });
    expect(windows).toEqual(referenceWindows);
    const [prose] = await loadDatasets([textFile!]);
    expect(digest(makeWindows(prose!, tokenizer, { length: 512, windows: 24 }))).toBe(
      'd31e8a24cc2a6e15f922871d5582ad6400e4581ea97e7a634b967d2bcc73d8b2',
    );
  });

  it('gives the same ids for the parts of a text as for the whole, and reads no more of it than it needs', async () => {
    const tokenizer = await loadTokenizer(await openCheckpoint(textModel!));
    const text = (await loadDatasets([textFile!])).flatMap(({ texts }) => texts).join('\n');
    const parts = [...tokenizer.parts(text)];
    expect(parts.length).toBeGreaterThan(40);
    expect(parts.join('')).toBe(text);
    let started = performance.now();
    const whole = tokenizer.encode(text);
    const wholeMilliseconds = performance.now() - started;
    expect(parts.flatMap((part) => tokenizer.encode(part))).toEqual(whole);

    started = performance.now();
    const windows = makeWindows({ name: 'all', texts: [text] }, tokenizer, { length: 512, windows: 4 });
    const milliseconds = performance.now() - started;
    console.info(
      `${(text.length / 1e6).toFixed(1)} MB of text: ${wholeMilliseconds.toFixed(0)} ms, 4 windows ${milliseconds.toFixed(0)} ms`,
    );
    expect(digest(windows)).toBe(digest([Int32Array.from([0, ...whole].slice(0, 2048))]));
    expect(milliseconds).toBeLessThan(wholeMilliseconds / 4);
  });
});

const taskModel = sharedPath('models/tasks');

describe.skipIf(taskModel === undefined)('the trained task model', () => {
  it('gives the sequences of the reference tokenizer for all task items and documents', async () => {
    const tokenizer = await loadTokenizer(await openCheckpoint(taskModel!));
    expect(tokenizer).toMatchObject({ separatorId: 1, beginning: [], vocabularySize: 97 });
    const sequences = makeTaskSequences(await loadTasks([`${taskModel}/tasks.jsonl`]), tokenizer);
    expect(sequences.length).toBe(2400);
    expect(digest(sequences.map(({ ids }) => ids))).toBe(
      '09bb42fa8e20aa60dd842c0088d9a10365c991e3cd1db509d03b707ebfef0ffb',
    );
    const [documents] = await loadDatasets([`${taskModel}/calibration.jsonl`]);
    const windows = makeWindows(documents!, tokenizer, { length: 48, perDocument: true });
    expect(windows.length).toBe(3000);
    expect(digest(windows)).toBe('05ec80071b1df3fdc0bc88c33785082f2979a22c3e39bc132321a314473e0570');
  });
});
