import path from 'node:path';
import type { BrokenRequest } from './brokenSamples';

type Options = NonNullable<BrokenRequest['options']>;

/** The options with absolute paths. */
function inFolder(folder: string, { options = {} }: BrokenRequest): Options {
  const at = (name: string): string => path.join(folder, name);
  return {
    ...options,
    ...(options.plan === undefined ? {} : { plan: at(options.plan) }),
    ...(options.out === undefined ? {} : { out: at(options.out) }),
    ...(options.tasks === undefined ? {} : { tasks: options.tasks.map(at) }),
    ...(options.text === undefined ? {} : { text: options.text.map(at) }),
  };
}

/** The work on a checkpoint folder as words of the command line. */
export function asWords(folder: string, request: BrokenRequest): string[] {
  const words = Object.entries(inFolder(folder, request)).flatMap(([name, value]: [string, unknown]) => [
    `--${name}`,
    ...(Array.isArray(value) ? value.map(String) : [String(value)]),
  ]);
  return [request.name, folder, ...words];
}

/** The work on a checkpoint folder as parameters of a request to the engine. */
export function asParameters(folder: string, request: BrokenRequest): { checkpoint: string } & Record<string, unknown> {
  return { checkpoint: folder, ...inFolder(folder, request) };
}
