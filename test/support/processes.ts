import { execFileSync } from 'node:child_process';

/** Ids of the running engines that belong to a process group. */
export function enginesOf(processGroup: number): number[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,pgid=,args='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter((match) => Number(match?.[2]) === processGroup && /dist\/engine\.js/.test(match?.[3] ?? ''))
    .map((match) => Number(match?.[1]));
}

/** Asks again until there is an answer. */
export async function eventually<Value>(
  what: string,
  ask: () => Value | undefined | Promise<Value | undefined>,
  { seconds = 45, everyMilliseconds = 100 } = {},
): Promise<Value> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`Waited ${seconds} s in vain for ${what}.`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMilliseconds));
  }
}
