/**
 * Entry of the dashboard webview, bundled to `dist/webviews/dashboard.js` (one immediately invoked script) with
 * `dist/webviews/dashboard.css` beside it.
 *
 * The extension host writes the page itself. It expects of the page:
 * - `<html lang="…">` with the language of VS Code, in which numbers are written;
 * - `<meta property="csp-nonce" content="NONCE">`, which the toolkit reads for its style elements, under the policy
 *   `default-src 'none'; img-src SOURCE data:; font-src SOURCE; style-src SOURCE 'nonce-NONCE'; script-src 'nonce-NONCE'`;
 * - the style sheet as `<link rel="stylesheet">` and the script, with the nonce, at the end of the body;
 * - `<main id="root"></main>` in the body;
 * - optionally `<script type="application/json" id="translations">{"English text": "text", …}</script>`: the bundle of another
 *   language that the extension itself uses (write `<` as `\u003c` in it).
 *
 * The script answers with `{ kind: 'ready', version }`; the host then posts complete `DashboardSnapshot`s, the latest of which
 * wins. The page may be torn down and loaded again at any time.
 */
import '../zodWithoutEval';
import './dashboard.css';
import * as z from 'zod';
import type { DashboardMessage } from '../../engine/protocol/dashboard';
import { connectToHost } from '../host';
import { installTranslations, text } from '../strings';
import { setNumberLanguage } from '../ui-kit/numbers';
import { registerToolkit } from '../ui-kit/toolkit';
import { startDashboard } from './dashboard';

const root = document.getElementById('root');
if (root === null) {
  throw new Error('The page of the dashboard has no element with the id "root".');
}
const translations = document.getElementById('translations')?.textContent;
if (translations !== undefined) {
  installTranslations(z.record(z.string(), z.string()).parse(JSON.parse(translations)));
}
root.setAttribute('aria-label', text('dashboardTitle'));
setNumberLanguage(document.documentElement.lang);
registerToolkit();
startDashboard(root, connectToHost<DashboardMessage>());
