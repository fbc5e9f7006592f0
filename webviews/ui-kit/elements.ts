/** How a new element looks. Text is always set as text, never parsed as HTML. */
export interface ElementOptions {
  readonly className?: string;
  readonly text?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** Creates an element with its class, text, attributes and children. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  options: ElementOptions = {},
  children: readonly Node[] = [],
): HTMLElementTagNameMap[Tag] {
  const created = document.createElement(tag);
  if (options.className !== undefined) {
    created.className = options.className;
  }
  if (options.text !== undefined) {
    created.textContent = options.text;
  }
  for (const [name, value] of Object.entries(options.attributes ?? {})) {
    created.setAttribute(name, value);
  }
  created.append(...children);
  return created;
}

/** Sets a text only where it differs, so that live regions do not repeat themselves. */
export function setText(target: Element, value: string): void {
  if (target.textContent !== value) {
    target.textContent = value;
  }
}

let created = 0;

/** An id that is unique in this page, for ARIA references. */
export function uniqueId(prefix: string): string {
  created += 1;
  return `${prefix}-${String(created)}`;
}

/** Collects clean-up functions and runs them once, in reverse order. */
export class Cleanup {
  private readonly steps: (() => void)[] = [];

  add(step: () => void): void {
    this.steps.push(step);
  }

  /** Adds an event listener that goes away with the rest. */
  listen<Name extends keyof HTMLElementEventMap>(
    target: HTMLElement,
    name: Name,
    listener: (event: HTMLElementEventMap[Name]) => void,
  ): void {
    target.addEventListener(name, listener);
    this.add(() => {
      target.removeEventListener(name, listener);
    });
  }

  dispose(): void {
    for (const step of this.steps.splice(0).reverse()) {
      step();
    }
  }
}
