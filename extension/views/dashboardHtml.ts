/** The parts of the page that depend on the window. */
export interface DashboardPage {
  readonly scriptUri: string;
  readonly styleUri: string;
  readonly cspSource: string;
  /** Fresh for every page; the only scripts that run carry it. */
  readonly nonce: string;
  readonly language: string;
  readonly title: string;
  /** Texts of another language by their English ones; none where the window is English. */
  readonly translations?: Readonly<Record<string, string>> | undefined;
}

/** Text that is safe between tags and in quoted attributes. */
function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replaceAll(/[&<>"]/g, (character) => entities[character] ?? character);
}

/** Translations as data inside the page; `<` is escaped so that no text can end the element. */
function translationData({ translations, nonce }: DashboardPage): string {
  return translations === undefined
    ? ''
    : `<script type="application/json" id="translations" nonce="${nonce}">${JSON.stringify(translations).replaceAll('<', '\\u003c')}</script>\n`;
}

/** The complete page of a webview under a policy that allows its own script, styles, fonts and nothing else. */
export function dashboardHtml(page: DashboardPage): string {
  const { scriptUri, styleUri, cspSource, nonce, language, title } = page;
  const policy = [
    "default-src 'none'",
    `img-src ${cspSource} data:`,
    `font-src ${cspSource}`,
    `style-src ${cspSource} 'nonce-${nonce}'`,
    `script-src 'nonce-${nonce}'`,
  ].join('; ');
  return `<!DOCTYPE html>
<html lang="${escapeHtml(language)}">
<head>
<meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">
<meta property="csp-nonce" content="${nonce}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${escapeHtml(styleUri)}">
<title>${escapeHtml(title)}</title>
</head>
<body>
<main id="root"></main>
${translationData(page)}<script nonce="${nonce}" src="${escapeHtml(scriptUri)}"></script>
</body>
</html>`;
}
