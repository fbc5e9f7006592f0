import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { debounce } from '../../extension/common/debounce';

describe('a call that waits for a pause', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('runs once after the last of a burst', () => {
    const work = vi.fn();
    const call = debounce(work, 200);
    for (let key = 0; key < 4; key += 1) {
      call();
      vi.advanceTimersByTime(50);
    }
    expect(work).not.toHaveBeenCalled();
    vi.advanceTimersByTime(150);
    expect(work).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(5000);
    expect(work).toHaveBeenCalledTimes(1);
  });

  it('runs within half a second of the first call for somebody who never pauses', () => {
    const shown: number[] = [];
    const started = Date.now();
    const call = debounce(() => shown.push(Date.now() - started), 200);
    for (let key = 0; key < 40; key += 1) {
      call();
      vi.advanceTimersByTime(80);
    }
    expect(shown[0]).toBeLessThanOrEqual(500);
    const gaps = shown.slice(1).map((at, index) => at - shown[index]!);
    expect(gaps.length).toBeGreaterThan(3);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(580);
  });

  it('does nothing more once it is disposed', () => {
    const work = vi.fn();
    const call = debounce(work, 100);
    call();
    call.dispose();
    vi.advanceTimersByTime(1000);
    expect(work).not.toHaveBeenCalled();
  });
});
