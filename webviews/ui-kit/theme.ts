/** The theme kinds of VS Code, as it writes them on the body. */
export type ThemeKind = 'dark' | 'light' | 'high-contrast-dark' | 'high-contrast-light';

/** Reads the kind of the current theme from the body classes. */
export function themeKind(): ThemeKind {
  const classes = document.body.classList;
  // VS Code adds vscode-high-contrast to both high contrast themes, so the light one is asked for first.
  if (classes.contains('vscode-high-contrast-light')) {
    return 'high-contrast-light';
  }
  if (classes.contains('vscode-high-contrast')) {
    return 'high-contrast-dark';
  }
  return classes.contains('vscode-light') ? 'light' : 'dark';
}

/** The value of the first of these CSS variables that the theme defines, else the fallback. */
export function themeValue(names: readonly string[], fallback: string): string {
  const style = getComputedStyle(document.body);
  for (const name of names) {
    const value = style.getPropertyValue(name).trim();
    if (value !== '') {
      return value;
    }
  }
  return fallback;
}

/** Calls the listener after each change of theme, font or zoom; returns the function that stops it. */
export function onThemeChange(listener: () => void): () => void {
  const observer = new MutationObserver(listener);
  observer.observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id'] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style'] });
  return () => {
    observer.disconnect();
  };
}
