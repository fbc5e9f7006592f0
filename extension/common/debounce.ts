/** A call that waits until it was not repeated for some time. */
export interface Debounced {
  (): void;
  dispose(): void;
}

/** What is on the screen follows what is typed within a second, also for somebody who never pauses. */
const longestMilliseconds = 500;

/**
 * Runs `work` once, `milliseconds` after the last call, and no later than half a second after the first one that it has not
 * answered yet.
 */
export function debounce(work: () => void, milliseconds: number): Debounced {
  let timer: NodeJS.Timeout | undefined;
  let waitingSince: number | undefined;
  const run = (): void => {
    waitingSince = undefined;
    work();
  };
  const call = (): void => {
    const now = Date.now();
    waitingSince ??= now;
    clearTimeout(timer);
    timer = setTimeout(run, Math.max(0, Math.min(milliseconds, waitingSince + longestMilliseconds - now)));
  };
  return Object.assign(call, { dispose: () => clearTimeout(timer) });
}
