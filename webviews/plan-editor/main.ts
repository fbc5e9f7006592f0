/**
 * Entry of the plan editor's webview, bundled to `dist/webviews/planEditor.js` with `dist/webviews/planEditor.css` beside it. What it
 * expects of its page is what `webviews/dashboard/main.ts` says of the dashboard's.
 *
 * The script answers with `{ kind: 'ready', version }`; the extension then posts a message for each topic (document, measurements, front,
 * status), each complete, the latest of a topic wins. The page may be torn down and loaded again at any time.
 */
import '../zodWithoutEval';
import './texts';
import './planEditor.css';
import * as z from 'zod';
import type { PlanEditorMessage } from '../../engine/protocol/planEditor';
import { connectToHost } from '../host';
import { installTranslations, text } from '../strings';
import { setNumberLanguage } from '../ui-kit/numbers';
import { registerToolkit } from '../ui-kit/toolkit';
import { startPlanEditor } from './planEditor';

const root = document.getElementById('root');
if (root === null) {
  throw new Error('The page of the plan editor has no element with the id "root".');
}
const translations = document.getElementById('translations')?.textContent;
if (translations !== undefined) {
  installTranslations(z.record(z.string(), z.string()).parse(JSON.parse(translations)));
}
root.setAttribute('aria-label', text('planEditorTitle'));
setNumberLanguage(document.documentElement.lang);
registerToolkit();
startPlanEditor(root, connectToHost<PlanEditorMessage>());
