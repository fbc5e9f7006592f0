/** A call that waits until it was not repeated for some time. */
export interface Debounced {
  (): void;
  dispose(): void;
}

/** Runs `work` once, `milliseconds` after the last call. */
export function debounce(work: () => void, milliseconds: number): Debounced {
  let timer: NodeJS.Timeout | undefined;
  const call = (): void => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
  return Object.assign(call, { dispose: () => clearTimeout(timer) });
}
