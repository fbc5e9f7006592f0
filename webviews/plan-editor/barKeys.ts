/** What a key on a bar means. */
export type BarIntent =
  | { readonly kind: 'step'; readonly by: number }
  | { readonly kind: 'least' | 'most' | 'trained' | 'lock' | 'toggleSelection' | 'selectAll' | 'clearSelection' }
  | { readonly kind: 'move'; readonly to: number; readonly extend: boolean }
  | { readonly kind: 'digit'; readonly digit: number };

/** The part of a keyboard event that decides. */
interface Key {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
}

const pageStep = 2;

/**
 * The keys of a bar, by the ARIA spin button pattern: up and down change the number, Page Up and Page Down by two, Home and End go to
 * the least and the most. Left and right walk the layers, with Control to the ends, with Shift extending the selection.
 *
 * @param position the bar that has the focus
 * @param count how many bars there are
 */
export function barIntent(key: Key, position: number, count: number): BarIntent | undefined {
  const control = key.ctrlKey || key.metaKey;
  if (key.altKey) {
    return undefined;
  }
  const move = (to: number): BarIntent => ({
    kind: 'move',
    to: Math.max(0, Math.min(count - 1, to)),
    extend: key.shiftKey,
  });
  if (control) {
    switch (key.key) {
      case 'ArrowLeft':
      case 'Home':
        return move(0);
      case 'ArrowRight':
      case 'End':
        return move(count - 1);
      case 'a':
        return { kind: 'selectAll' };
      default:
        return undefined;
    }
  }
  if (/^[0-9]$/.test(key.key)) {
    return { kind: 'digit', digit: Number(key.key) };
  }
  switch (key.key) {
    case 'ArrowUp':
    case '+':
      return { kind: 'step', by: 1 };
    case 'ArrowDown':
    case '-':
      return { kind: 'step', by: -1 };
    case 'PageUp':
      return { kind: 'step', by: pageStep };
    case 'PageDown':
      return { kind: 'step', by: -pageStep };
    case 'Home':
      return { kind: 'least' };
    case 'End':
      return { kind: 'most' };
    case 'ArrowLeft':
      return move(position - 1);
    case 'ArrowRight':
      return move(position + 1);
    case 'Delete':
    case 'Backspace':
      return { kind: 'trained' };
    case ' ':
      return { kind: 'toggleSelection' };
    case 'l':
    case 'L':
      return { kind: 'lock' };
    case 'Escape':
      return { kind: 'clearSelection' };
    default:
      return undefined;
  }
}
