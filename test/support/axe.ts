import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { WebviewPage } from './webviewBrowser';

const script = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The rules that judge colours: in another theme the elements are the same, so only these can find another thing. */
export const colourRules = ['color-contrast', 'link-in-text-block'];

/**
 * Serious and critical findings of axe in a page, one line each.
 *
 * @param rules the rules to run, where not all are wanted
 */
export async function seriousFindings(view: WebviewPage, rules?: readonly string[]): Promise<string[]> {
  const options = JSON.stringify({ resultTypes: ['violations'], ...(rules === undefined ? {} : { runOnly: rules }) });
  await view.page.evaluate(`window.axe || (() => { ${script} })()`);
  const violations: AxeResults['violations'] = await view.page.evaluate(
    `axe.run(document, ${options}).then(({ violations }) => violations)`,
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ''}`));
}
