import { createDataGrid } from '../ui-kit/dataGrid';
import type { DataGrid, GridModel } from '../ui-kit/dataGrid';
import { Cleanup, element, setText } from '../ui-kit/elements';
import type { GridMode, GridPosition } from '../ui-kit/gridCursor';
import { onThemeChange } from '../ui-kit/theme';
import type { ChartPicture } from './chartPicture';
import type { Area } from './heatMapGeometry';

/** What a chart tells its figure about its drawing. */
export interface ChartSurface {
  /** The grid position under a point of the canvas, or undefined where there is none. */
  hit(x: number, y: number): GridPosition | undefined;
  /** Where the mark of a position is on the canvas. */
  place(position: GridPosition): Area | undefined;
  /** The chart as files, for those that can be exported. */
  picture?(): ChartPicture;
  /** Draws again with the colours of the current theme. */
  applyTheme(): void;
  dispose(): void;
}

export interface FigureOptions {
  readonly className: string;
  readonly mode: GridMode;
  readonly hint: string;
  /** One line about a position, for tooltip, visible readout and live region. */
  readonly describe: (position: GridPosition) => string;
  readonly onMove?: (position: GridPosition) => void;
  /** The pointer is over another mark. */
  readonly onHover?: (position: GridPosition) => void;
  /** Enter on the cursor, or a click on a mark. */
  readonly onActivate?: (position: GridPosition) => void;
  readonly createSurface: (canvas: HTMLCanvasElement) => ChartSurface;
}

/**
 * A chart with everything that makes it usable without sight or mouse: the canvas as an image with one sentence, the same
 * numbers as an ARIA grid that takes the focus, a cursor drawn over the canvas, and a line that says where it is.
 */
export class ChartFigure {
  readonly root: HTMLElement;
  readonly plot: HTMLElement;
  readonly grid: DataGrid;
  private readonly canvas: HTMLCanvasElement;
  private readonly surface: ChartSurface;
  private readonly tooltip = element('div', { className: 'chart-tooltip', attributes: { 'aria-hidden': 'true' } });
  private readonly cursor = element('div', { className: 'chart-cursor', attributes: { 'aria-hidden': 'true' } });
  private readonly readout = element('p', { className: 'readout', attributes: { 'aria-live': 'polite' } });
  private readonly cleanup = new Cleanup();
  private hovered: GridPosition | undefined;

  constructor(private readonly options: FigureOptions) {
    this.canvas = element('canvas', { attributes: { role: 'img' } });
    this.plot = element('div', { className: 'plot' }, [this.canvas, this.cursor, this.tooltip]);
    this.grid = createDataGrid({
      mode: options.mode,
      hint: options.hint,
      onMove: (position) => {
        this.showPosition(position);
        options.onMove?.(position);
      },
      onActivate: (position) => options.onActivate?.(position),
    });
    this.root = element('div', { className: `chart-figure ${options.className}` }, [
      this.plot,
      this.readout,
      this.grid.root,
    ]);
    this.tooltip.hidden = true;
    this.surface = options.createSurface(this.canvas);
    this.listen();
  }

  /** Shows new numbers; the chart itself must have been given them before. */
  update(sentence: string, model: GridModel): void {
    this.canvas.setAttribute('aria-label', sentence);
    this.grid.update(model);
    this.hideTooltip();
    this.showPosition(this.grid.position);
  }

  /** Puts the cursor on a position, for example one restored from an earlier life of the page. */
  setPosition(position: GridPosition): void {
    this.grid.setPosition(position);
    this.showPosition(this.grid.position);
  }

  /** Shows the grid below the chart, or keeps it for assistive technology and the keyboard alone. */
  showTable(shown: boolean): void {
    this.grid.show(shown);
  }

  /** The chart as files. */
  picture(): ChartPicture | undefined {
    return this.surface.picture?.();
  }

  dispose(): void {
    this.cleanup.dispose();
    this.surface.dispose();
    this.root.remove();
  }

  private listen(): void {
    this.cleanup.listen(this.plot, 'pointermove', (event) => {
      this.hover(event);
    });
    this.cleanup.listen(this.plot, 'pointerleave', () => {
      this.hideTooltip();
    });
    this.cleanup.listen(this.plot, 'click', (event) => {
      this.click(event);
    });
    this.cleanup.listen(this.root, 'focusin', () => {
      this.placeCursor();
    });
    this.cleanup.listen(this.root, 'keydown', (event) => {
      if (event.key === 'Escape') {
        this.hideTooltip();
      }
    });
    this.cleanup.add(
      onThemeChange(() => {
        this.surface.applyTheme();
      }),
    );
    const observer = new ResizeObserver(() => {
      this.placeCursor();
    });
    observer.observe(this.plot);
    this.cleanup.add(() => {
      observer.disconnect();
    });
  }

  private showPosition(position: GridPosition): void {
    setText(this.readout, this.options.describe(position));
    this.placeCursor();
  }

  private placeCursor(): void {
    const area = this.surface.place(this.grid.position);
    this.cursor.hidden = area === undefined;
    if (area !== undefined) {
      const style = this.cursor.style;
      style.transform = `translate(${String(area.left)}px, ${String(area.top)}px)`;
      style.width = `${String(area.width)}px`;
      style.height = `${String(area.height)}px`;
    }
  }

  private hitTest(event: MouseEvent): GridPosition | undefined {
    const bounds = this.canvas.getBoundingClientRect();
    return this.surface.hit(event.clientX - bounds.left, event.clientY - bounds.top);
  }

  private hover(event: MouseEvent): void {
    const position = this.hitTest(event);
    if (position === undefined) {
      this.hideTooltip();
      return;
    }
    if (this.hovered?.row === position.row && this.hovered.column === position.column) {
      return;
    }
    this.hovered = position;
    this.options.onHover?.(position);
    const area = this.surface.place(position);
    if (area === undefined) {
      return;
    }
    this.tooltip.hidden = false;
    this.tooltip.textContent = this.options.describe(position);
    const width = this.plot.clientWidth;
    const onTheRight = area.left > width / 2;
    this.tooltip.style.top = `${String(Math.round(area.top + area.height + 4))}px`;
    this.tooltip.style.left = onTheRight ? 'auto' : `${String(Math.round(area.left))}px`;
    this.tooltip.style.right = onTheRight ? `${String(Math.round(width - area.left - area.width))}px` : 'auto';
  }

  private hideTooltip(): void {
    this.hovered = undefined;
    this.tooltip.hidden = true;
  }

  private click(event: MouseEvent): void {
    const position = this.hitTest(event);
    this.grid.focus();
    if (position !== undefined) {
      this.setPosition(position);
      this.options.onMove?.(this.grid.position);
      this.options.onActivate?.(this.grid.position);
    }
  }
}
