import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadDatasets, loadTasks } from '../../engine/checkpoint/datasets';
import { temporaryFolder } from '../support/temporaryFolder';

async function textFile(name: string, content: string | Uint8Array): Promise<string> {
  const file = path.join(await temporaryFolder(), name);
  await writeFile(file, content);
  return file;
}

describe('text files', () => {
  it('reads the three forms, named by file or by key', async () => {
    const plain = await textFile('my novel.txt', '\ufeffChapter 1\r\nüber\n');
    const lines = await textFile(
      'docs.JSONL',
      '{"text": "a\\u2028b"}\r\n\n  \n{"task": "copy", "text": ""}\n{"text":"c"}',
    );
    const named = await textFile('eval.json', '{"prose": ["x", "y"], "code": ["z"]}');
    expect(await loadDatasets([plain, lines, named])).toEqual([
      { name: 'my novel', texts: ['Chapter 1\r\nüber\n'] },
      { name: 'docs', texts: ['a\u2028b', '', 'c'], tags: [undefined, 'copy', undefined] },
      { name: 'prose', texts: ['x', 'y'] },
      { name: 'code', texts: ['z'] },
    ]);
  });

  it.each([
    ['broken.jsonl', '{"text": "a"}\n{"text": }\n', 'line 2', /not valid JSON/],
    ['field.jsonl', '\n{"text": "a"}\n{"content": "a"}\n', 'line 3, text', /not of the form/],
    ['type.jsonl', '{"text": 5}\n', 'line 1, text', /not of the form/],
    ['list.jsonl', '["a"]\n', 'line 1, top level', /not of the form/],
    ['empty.jsonl', '\n\n', undefined, /no line/],
    ['broken.json', '{"a": ["x"],\n "b": ["y"}', 'line 2, column 11', /malformed/],
    ['list.json', '["x"]', 'top level', /not of the form/],
    ['type.json', '{"a": ["x", 5]}', 'a.1', /not of the form/],
    ['none.json', '{"a": []}', 'a', /not of the form/],
    ['twice.json', '{"a": ["x"], "a": ["y"]}', 'a (line 1, column 14)', /twice/],
    ['empty.txt', '', 'empty', /no text/],
    ['picture.png', 'x', undefined, /\.txt, \.jsonl, \.json/],
    ['latin1.txt', Uint8Array.of(0x66, 0xfc, 0x72), undefined, /UTF-8/],
  ])('refuses %s with its place', async (name, content, place, message) => {
    const file = await textFile(name, content);
    await expect(loadDatasets([file])).rejects.toMatchObject({
      code: 'malformedText',
      message: expect.stringMatching(message),
      details: { file, place },
    });
  });

  it('refuses two datasets of one name, naming both files', async () => {
    const first = await textFile('a.txt', 'x');
    const second = await textFile('b.json', '{"a": ["y"]}');
    await expect(loadDatasets([first, second])).rejects.toMatchObject({
      code: 'malformedText',
      message: expect.stringContaining(first),
      details: { file: second, place: 'a' },
    });
  });

  it('says which file is missing or is a folder', async () => {
    const folder = await temporaryFolder();
    const file = path.join(folder, 'nothing.txt');
    await expect(loadDatasets([file])).rejects.toMatchObject({ code: 'fileNotFound', details: { file } });
    await expect(loadTasks([folder])).rejects.toMatchObject({ code: 'fileNotFound', details: { file: folder } });
  });
});

describe('task files', () => {
  it('reads items of several files in order', async () => {
    const first = await textFile('a.jsonl', '{"task": "copy", "prompt": "copy a>", "answer": "a\\n", "id": 1}\n');
    const second = await textFile('b.jsonl', '{"task": "add", "prompt": "", "answer": "2"}');
    expect(await loadTasks([first, second])).toEqual([
      { task: 'copy', prompt: 'copy a>', answer: 'a\n' },
      { task: 'add', prompt: '', answer: '2' },
    ]);
  });

  it.each([
    ['{"task": "copy", "prompt": "x"}', 'line 1, answer'],
    ['{"task": "copy", "prompt": "x", "answer": ""}', 'line 1, answer'],
    ['{"task": "copy", "prompt": "x", "answer": "y"}\nnull', 'line 2, top level'],
    ['', undefined],
  ])('refuses %j with its place', async (content, place) => {
    const file = await textFile('tasks.jsonl', content);
    await expect(loadTasks([file])).rejects.toMatchObject({ code: 'malformedText', details: { file, place } });
  });
});
