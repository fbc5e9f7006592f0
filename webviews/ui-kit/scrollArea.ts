import { element } from './elements';

/**
 * A box that scrolls sideways when its content is wider. Only then is it a tab stop, so that the arrow keys can scroll it.
 */
export function createScrollArea(label: string, content: HTMLElement): HTMLElement {
  const area = element('div', { className: 'scroll-area' }, [content]);
  const observer = new ResizeObserver(() => {
    if (!area.isConnected) {
      observer.disconnect();
    } else if (area.scrollWidth > area.clientWidth) {
      area.setAttribute('tabindex', '0');
      area.setAttribute('role', 'region');
      area.setAttribute('aria-label', label);
    } else {
      for (const name of ['tabindex', 'role', 'aria-label']) {
        area.removeAttribute(name);
      }
    }
  });
  observer.observe(area);
  return area;
}
