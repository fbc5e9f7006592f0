import type * as z from 'zod';

/** The two lists of sections that every page keeps: those that are closed, and those that show their table. */
export interface SectionLists {
  readonly collapsed: readonly string[];
  readonly tables: readonly string[];
}

/** Keeps what a person has arranged in a page and writes each change through, so that the page can be torn down at any time. */
export class PageStateStore<State extends SectionLists> {
  private state: State;

  /**
   * @param schema of the state; every key has a default
   * @param saved what an earlier life of the page wrote, unvalidated; anything unreadable starts afresh
   */
  constructor(
    schema: z.ZodType<State>,
    saved: unknown,
    private readonly write: (state: State) => void,
  ) {
    const parsed = schema.safeParse(saved ?? {});
    this.state = parsed.success ? parsed.data : schema.parse({});
  }

  get current(): State {
    return this.state;
  }

  change(part: Partial<State>): void {
    this.state = { ...this.state, ...part };
    this.write(this.state);
  }

  /** Adds a section to one of the lists of sections, or takes it out. */
  toggle(list: keyof SectionLists, section: State['collapsed'][number], on: boolean): void {
    const others = this.state[list].filter((name) => name !== section);
    this.change({ [list]: on ? [...others, section] : others } as unknown as Partial<State>);
  }
}
