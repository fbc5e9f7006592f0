import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { dashboardHtml } from '../../extension/views/dashboardHtml';
import type { WebviewBundle } from './webviewBundle';

/** Serves one webview page as the extension host would write it, under the policy that ships. */
export interface WebviewServer {
  readonly url: string;
  close(): Promise<void>;
}

const nonce = 'dGVzdC1ub25jZQ';

/** Letters of one file, so that words are equally wide on every machine: a part of DejaVu Sans. */
export const pictureFont = 'Picture Sans';
const fontFile = readFileSync(resolve(import.meta.dirname, 'pictureFont.woff'));
const fontFace = `@font-face { font-family: "${pictureFont}"; src: url("/font.woff"); }`;

/** @param translations texts of another language for the page, by the English ones */
export async function serveWebview(
  bundle: WebviewBundle,
  translations?: Readonly<Record<string, string>>,
): Promise<WebviewServer> {
  const server = createServer((request, response) => {
    const origin = `http://${request.headers.host ?? ''}`;
    const page = {
      scriptUri: '/script.js',
      styleUri: '/style.css',
      cspSource: origin,
      nonce,
      language: 'en',
      title: 'MoE Tuner',
      translations,
    };
    const answers: Readonly<Record<string, readonly [string, string | Buffer]>> = {
      '/': ['text/html; charset=utf-8', dashboardHtml(page)],
      '/script.js': ['text/javascript; charset=utf-8', bundle.script],
      '/style.css': ['text/css; charset=utf-8', `${bundle.style}${fontFace}`],
      '/font.woff': ['font/woff', fontFile],
    };
    const answer = answers[(request.url ?? '').replace(/\?.*$/, '')];
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
