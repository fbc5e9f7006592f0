import { expect, test, vi } from 'vitest';

vi.mock('vscode', () => ({}));
const { csvOf, jsonOf } = await import('../../extension/views/exportSection');

const section = {
  name: 'x',
  columns: ['name', 'value'],
  rows: [
    ['a "b", c', 1.25e-7],
    ['d', null],
  ],
};

test('CSV quotes what needs it and leaves gaps empty', () => {
  expect(csvOf(section)).toBe('name,value\r\n"a ""b"", c",1.25e-7\r\nd,\r\n');
});

test('JSON has one object per row', () => {
  expect(JSON.parse(jsonOf(section))).toEqual([
    { name: 'a "b", c', value: 1.25e-7 },
    { name: 'd', value: null },
  ]);
});
