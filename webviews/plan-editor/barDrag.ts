import { Cleanup } from '../ui-kit/elements';

/** Distance, in CSS pixels, from which on a press is a drag. */
const dragThreshold = 4;

export interface BarDragOptions {
  /** Element over the bars; a press on it starts. */
  readonly surface: HTMLElement;
  /** Position of the bar under a point of the window. */
  readonly positionAt: (clientX: number) => number | undefined;
  /** Height of one active expert in CSS pixels. */
  readonly levelHeight: () => number;
  readonly canDrag: (position: number) => boolean;
  /** A press without a drag. */
  readonly onPress: (position: number, event: PointerEvent) => void;
  /** The pointer moved by so many whole levels since the press. */
  readonly onDrag: (position: number, levels: number) => void;
  /** The drag ended; `kept` is false when it was broken off. */
  readonly onEnd: (kept: boolean) => void;
  readonly onHover: (position: number | undefined) => void;
}

interface Press {
  readonly pointer: number;
  readonly position: number;
  readonly y: number;
  dragging: boolean;
  levels: number;
}

/** Dragging of bars: by whole levels, at most one report a frame, broken off by Escape. */
export function listenToBarDrag(options: BarDragOptions): Cleanup {
  const { surface } = options;
  const cleanup = new Cleanup();
  let press: Press | undefined;
  let frame = 0;

  function end(kept: boolean): void {
    if (press === undefined) {
      return;
    }
    const { pointer, dragging } = press;
    press = undefined;
    cancelAnimationFrame(frame);
    frame = 0;
    if (surface.hasPointerCapture(pointer)) {
      surface.releasePointerCapture(pointer);
    }
    surface.classList.remove('dragging');
    if (dragging) {
      options.onEnd(kept);
    }
  }

  function report(): void {
    frame = 0;
    if (press?.dragging === true) {
      options.onDrag(press.position, press.levels);
    }
  }

  cleanup.listen(surface, 'pointerdown', (event) => {
    const position = options.positionAt(event.clientX);
    if (event.button !== 0 || position === undefined) {
      return;
    }
    press = { pointer: event.pointerId, position, y: event.clientY, dragging: false, levels: 0 };
    surface.setPointerCapture(event.pointerId);
    options.onPress(position, event);
    event.preventDefault();
  });
  cleanup.listen(surface, 'pointermove', (event) => {
    if (press === undefined) {
      options.onHover(options.positionAt(event.clientX));
      return;
    }
    const moved = press.y - event.clientY;
    if (!press.dragging && Math.abs(moved) >= dragThreshold && options.canDrag(press.position)) {
      press.dragging = true;
      surface.classList.add('dragging');
    }
    const levels = Math.round(moved / options.levelHeight());
    if (press.dragging && levels !== press.levels) {
      press.levels = levels;
      frame = frame === 0 ? requestAnimationFrame(report) : frame;
    }
  });
  cleanup.listen(surface, 'pointerup', () => {
    if (frame !== 0) {
      cancelAnimationFrame(frame);
      report();
    }
    end(true);
  });
  cleanup.listen(surface, 'pointercancel', () => {
    end(false);
  });
  cleanup.listen(surface, 'pointerleave', () => {
    options.onHover(undefined);
  });
  const breakOff = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && press?.dragging === true) {
      event.preventDefault();
      event.stopPropagation();
      end(false);
    }
  };
  window.addEventListener('keydown', breakOff, true);
  cleanup.add(() => {
    window.removeEventListener('keydown', breakOff, true);
    end(false);
  });
  return cleanup;
}
