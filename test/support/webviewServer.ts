import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WebviewBundle } from './webviewBundle';

/** Serves one webview page as the extension host would write it, under the policy that ships. */
export interface WebviewServer {
  readonly url: string;
  close(): Promise<void>;
}

const nonce = 'dGVzdC1ub25jZQ';

function page(origin: string, translations: string | undefined): string {
  const policy = [
    `default-src 'none'`,
    `img-src ${origin} data:`,
    `font-src ${origin}`,
    `style-src ${origin} 'nonce-${nonce}'`,
    `script-src 'nonce-${nonce}'`,
  ].join('; ');
  const data =
    translations === undefined
      ? ''
      : `<script type="application/json" id="translations" nonce="${nonce}">${translations}</script>`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta property="csp-nonce" content="${nonce}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>MoE Tuner</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main id="root"></main>
${data}
<script nonce="${nonce}" src="/script.js"></script>
</body>
</html>`;
}

/** @param translations texts of another language for the page, keyed as the webviews' own */
export async function serveWebview(
  bundle: WebviewBundle,
  translations?: Readonly<Record<string, string>>,
): Promise<WebviewServer> {
  const data = translations === undefined ? undefined : JSON.stringify(translations).replaceAll('<', '\\u003c');
  const server = createServer((request, response) => {
    const origin = `http://${request.headers.host ?? ''}`;
    const answers: Readonly<Record<string, readonly [string, string]>> = {
      '/': ['text/html; charset=utf-8', page(origin, data)],
      '/script.js': ['text/javascript; charset=utf-8', bundle.script],
      '/style.css': ['text/css; charset=utf-8', bundle.style],
    };
    const answer = answers[request.url ?? ''];
    // Browsers ask for an icon by themselves; without one the answer is empty, not an error on the console.
    response.writeHead(answer === undefined ? 204 : 200, { 'content-type': answer?.[0] ?? 'text/plain' });
    response.end(answer?.[1] ?? '');
  });
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}/`,
    close: () =>
      new Promise((done, fail) => {
        server.closeAllConnections();
        server.close((error) => {
          if (error === undefined) {
            done();
          } else {
            fail(error);
          }
        });
      }),
  };
}
