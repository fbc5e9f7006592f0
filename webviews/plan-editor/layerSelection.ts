import type { UiStateStore } from './uiState';

/** How a bar was pressed. */
export interface PressedWith {
  readonly extend: boolean;
  readonly toggle: boolean;
}

function ascending(positions: Iterable<number>): number[] {
  return [...new Set(positions)].sort((one, other) => one - other);
}

/** Which layers are selected and which one has the cursor, by position; kept in the state of the page. */
export class LayerSelection {
  /** @param count how many layers there are now */
  constructor(
    private readonly state: UiStateStore,
    private readonly count: () => number,
    private readonly onChange: () => void,
  ) {}

  get all(): readonly number[] {
    return Array.from({ length: this.count() }, (_, position) => position);
  }

  get selected(): ReadonlySet<number> {
    return new Set(this.state.current.selected.filter((position) => position < this.count()));
  }

  get cursor(): number {
    return Math.max(0, Math.min(this.count() - 1, this.state.current.layer));
  }

  /** Layers that the buttons work on: the selected ones, or all. */
  get targets(): readonly number[] {
    const { selected } = this;
    return selected.size === 0 ? this.all : ascending(selected);
  }

  /** Layers that a gesture on one bar works on: with it all that are selected, where it is one of them. */
  targetsOf(position: number): readonly number[] {
    const { selected } = this;
    return selected.has(position) ? [...selected] : [position];
  }

  moveTo(position: number): void {
    this.state.change({ layer: position });
    this.onChange();
  }

  select(positions: Iterable<number>): void {
    this.state.change({ selected: ascending(positions) });
    this.onChange();
  }

  toggle(position: number): void {
    const selected = new Set(this.selected);
    if (!selected.delete(position)) {
      selected.add(position);
    }
    this.select(selected);
  }

  /** Moves the cursor and takes both layers into the selection. */
  extend(from: number, to: number): void {
    this.state.change({ layer: to });
    this.select([...this.selected, from, to]);
  }

  /** The pointer went down on a bar: alone it selects nothing, but what is selected stays so while one of it is pressed. */
  press(position: number, { toggle, extend }: PressedWith): void {
    const anchor = this.cursor;
    this.state.change({ layer: position });
    if (toggle) {
      this.toggle(position);
    } else if (extend) {
      this.select(this.all.slice(Math.min(anchor, position), Math.max(anchor, position) + 1));
    } else if (!this.selected.has(position)) {
      this.select([]);
    } else {
      this.onChange();
    }
  }
}
