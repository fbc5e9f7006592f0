import { describe, expect, test } from 'vitest';
import { crashError } from '../../extension/engine/engineErrors';

const trace = [
  'loading layer 3',
  '/engine.js:12',
  '    throw error;',
  'TypeError: weights is not iterable',
  '    at readWeights (/engine.js:12:5)',
  '    at step (/engine.js:40:9)',
  '    at async run (/engine.js:99:1)',
  '    at async main (/engine.js:120:1)',
  '',
  'Node.js v20.18.1',
];

describe('what a person reads when the engine died', () => {
  test('the line that names the problem, not the end of the stack trace', () => {
    const { message } = crashError({ code: 1, signal: null, lastOutput: trace });
    expect(message).toContain('TypeError: weights is not iterable');
    expect(message).not.toContain('loading layer 3');
    expect(message).not.toContain('Node.js v20');
  });

  test('the last lines where none names a problem', () => {
    const { message } = crashError({ code: 7, signal: null, lastOutput: ['1', '2', '3', '4', '5'] });
    expect(message).toContain('2\n3\n4\n5');
    expect(message).toContain('exit code 7');
    expect(message).not.toContain('1\n2');
  });

  test('the signal, and the likely reason of SIGKILL', () => {
    const { message } = crashError({ code: null, signal: 'SIGKILL', lastOutput: [] });
    expect(message).toMatch(/signal SIGKILL \(the system may have run out of memory\)\.$/);
  });
});
