/**
 * Entry of the playground's webview, bundled to `dist/webviews/playground.js` with `dist/webviews/playground.css` beside it. What it
 * expects of its page is what `webviews/dashboard/main.ts` says of the dashboard's.
 *
 * The script answers with `{ kind: 'ready', version }`; the extension then posts what the page is about (`target`), and a running
 * generation from its beginning. The page may be torn down and loaded again at any time.
 */
import '../zodWithoutEval';
import './texts';
import './playground.css';
import * as z from 'zod';
import type { PlaygroundMessage } from '../../engine/protocol/playground';
import { connectToHost } from '../host';
import { installTranslations, text } from '../strings';
import { setNumberLanguage } from '../ui-kit/numbers';
import { registerToolkit } from '../ui-kit/toolkit';
import { startPlayground } from './playground';

const root = document.getElementById('root');
if (root === null) {
  throw new Error('The page of the playground has no element with the id "root".');
}
const translations = document.getElementById('translations')?.textContent;
if (translations !== undefined) {
  installTranslations(z.record(z.string(), z.string()).parse(JSON.parse(translations)));
}
root.setAttribute('aria-label', text('playgroundTitle'));
setNumberLanguage(document.documentElement.lang);
registerToolkit();
startPlayground(root, connectToHost<PlaygroundMessage>());
