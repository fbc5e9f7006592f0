import { Cleanup, element } from '../ui-kit/elements';
import type { GridPosition } from '../ui-kit/gridCursor';
import type { CellRange } from './cellRange';

/** Distance, in CSS pixels, from which on a press is a lasso. */
const lassoThreshold = 5;

/**
 * A rectangle drawn with the pointer over a chart. The click that ends it does not reach the chart.
 *
 * @param hit the cell under a point of the window
 */
export function listenToLasso(
  plot: HTMLElement,
  hit: (event: MouseEvent) => GridPosition | undefined,
  onEnd: (range: CellRange, added: boolean) => void,
): Cleanup {
  const cleanup = new Cleanup();
  const frame = element('div', { className: 'lasso', attributes: { 'aria-hidden': 'true' } });
  frame.hidden = true;
  plot.append(frame);
  let start: { readonly x: number; readonly y: number; readonly cell: GridPosition } | undefined;
  let last: GridPosition | undefined;
  let swallow = false;

  cleanup.listen(plot, 'pointerdown', (event) => {
    const cell = event.button === 0 ? hit(event) : undefined;
    start = cell && { x: event.clientX, y: event.clientY, cell };
    last = cell;
    swallow = false;
  });
  cleanup.listen(plot, 'pointermove', (event) => {
    if (start === undefined) {
      return;
    }
    if (frame.hidden && Math.hypot(event.clientX - start.x, event.clientY - start.y) < lassoThreshold) {
      return;
    }
    plot.setPointerCapture(event.pointerId);
    const { left, top } = plot.getBoundingClientRect();
    frame.hidden = false;
    frame.style.left = `${String(Math.min(start.x, event.clientX) - left)}px`;
    frame.style.top = `${String(Math.min(start.y, event.clientY) - top)}px`;
    frame.style.width = `${String(Math.abs(event.clientX - start.x))}px`;
    frame.style.height = `${String(Math.abs(event.clientY - start.y))}px`;
    last = hit(event) ?? last;
  });
  const end = (event: PointerEvent): void => {
    if (start !== undefined && last !== undefined && !frame.hidden && event.type === 'pointerup') {
      swallow = true;
      onEnd({ from: start.cell, to: last }, event.ctrlKey || event.metaKey || event.shiftKey);
    }
    start = undefined;
    frame.hidden = true;
  };
  cleanup.listen(plot, 'pointerup', end);
  cleanup.listen(plot, 'pointercancel', end);
  const stopClick = (event: MouseEvent): void => {
    if (swallow) {
      swallow = false;
      event.stopPropagation();
    }
  };
  plot.parentElement?.addEventListener('click', stopClick, true);
  cleanup.add(() => {
    plot.parentElement?.removeEventListener('click', stopClick, true);
    frame.remove();
  });
  return cleanup;
}
