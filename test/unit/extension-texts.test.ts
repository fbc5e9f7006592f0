import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';
import { afterEach, describe, expect, it } from 'vitest';
import { fillIn, useTranslator } from '../../extension/common/localize';
import type { CheckpointEntry } from '../../extension/config/checkpointStore';
import { readConfigFacts } from '../../extension/config/configFacts';
import { configLenses } from '../../extension/config/configLenses';
import { inlineResults } from '../../extension/config/inlineResults';
import { checkpointNode, type CheckpointNode } from '../../extension/views/checkpointNodes';
import { dashboardHtml } from '../../extension/views/dashboardHtml';
import { collectTexts } from '../../scripts/texts.mjs';
import { planEditorTexts } from '../../webviews/plan-editor/texts';
import { playgroundTexts } from '../../webviews/playground/texts';
import { commonTexts } from '../../webviews/strings';
import { budgetOf, evaluationOf, profileOf, summaryOf } from '../support/checkpointResults';
import { pseudoBundle, pseudoText, untranslated } from '../support/pseudoLanguage';

const root = resolve(import.meta.dirname, '../..');
const { texts, unreadable } = collectTexts();

/** Properties and functions of the editor whose texts people read. */
const readProperties = new Set([
  'title',
  'placeHolder',
  'prompt',
  'label',
  'detail',
  'description',
  'tooltip',
  'wayOut',
]);
const readCalls = new Set(['showInformationMessage', 'showWarningMessage', 'showErrorMessage', 'setStatusBarMessage']);
/** Names that are the same in every language. */
const names = /\b(?:CSV|JSON|PNG|SVG|auto|MoE Tuner)\b/g;

/** Whether a literal, as it stands in the source, has words outside its placeholders and icons. */
function isForPeople(literal: string): boolean {
  const text = literal.slice(1, -1);
  return /[a-z]{2}/i.test(text.replaceAll(/\$\{[^}]*\}|\$\([^)]*\)/g, '').replaceAll(names, ''));
}

/** Texts for people that stand in a source file as they are, with their lines. */
function bareTexts(file: string, content: string): string[] {
  const source = ts.createSourceFile(file, content, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const note = (node: ts.Expression | undefined): void => {
    if (
      node !== undefined &&
      (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) &&
      isForPeople(node.getText())
    ) {
      found.push(`${file}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1} ${node.getText()}`);
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && readProperties.has(node.name.getText())) {
      note(node.initializer);
    } else if (ts.isNewExpression(node) && node.expression.getText() === 'TunerError') {
      node.arguments?.slice(1).forEach(note);
    } else if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      if (readCalls.has(node.expression.name.text)) {
        node.arguments.forEach(note);
      }
    }
    node.forEachChild(visit);
  };
  visit(source);
  return found;
}

describe('the texts of the extension', () => {
  it('are literals that a translator can see', () => {
    expect(unreadable).toEqual([]);
    expect(texts.length).toBeGreaterThan(300);
  });

  it('never reach people without passing the translator', () => {
    const files = readdirSync(join(root, 'extension'), { recursive: true, encoding: 'utf8' });
    const bare = files
      .filter((name) => name.endsWith('.ts'))
      .flatMap((name) => bareTexts(name, readFileSync(join(root, 'extension', name), 'utf8')));
    expect(bare).toEqual([]);
  });

  it('would be found where one did', () => {
    expect(
      bareTexts('planted.ts', "window.showErrorMessage('Nothing works.'); pick({ title: 'Which plan?' });"),
    ).toEqual([`planted.ts:1 'Nothing works.'`, `planted.ts:1 'Which plan?'`]);
  });

  it('include every text of the webviews', () => {
    const tables = [commonTexts, planEditorTexts, playgroundTexts].flatMap((table) => Object.values<string>(table));
    expect(tables.filter((text) => !texts.includes(text))).toEqual([]);
  });
});

/** Words of three letters or more that no translation covers; names of files, models and formats are nobody's to translate. */
function foreignWords(shown: string): string[] {
  const data = /mixtral|small\.moeplan\.json|wiki|gaussian|lexi|exact|cpu|\bBF16\b|\bCoV\b/g;
  return (
    untranslated(shown)
      .replaceAll(data, '')
      .match(/[a-z]{3,}/gi) ?? []
  );
}

function wordsOf({ label, description = '', children }: CheckpointNode): string[] {
  return [label, description, ...children.flatMap(wordsOf)];
}

describe('another language', () => {
  afterEach(() => useTranslator(fillIn));

  const config = `{"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2, "torch_dtype": "bfloat16"}`;
  const entry: CheckpointEntry = {
    folder: '/models/mixtral',
    label: 'mixtral',
    state: 'ready',
    summary: summaryOf(),
    profile: profileOf(),
    budget: budgetOf(),
    evaluations: [evaluationOf({ baseline: true }), evaluationOf()],
  };

  it('reaches lenses, inline results with their tables, and the tree', () => {
    const bundle = pseudoBundle();
    useTranslator((message, values) => fillIn(bundle[message] ?? message, values));
    const facts = readConfigFacts(config);
    const lenses = [true, false].flatMap((trusted) => configLenses(facts, entry, { trusted, onDisk: true }));
    const shown = [
      ...lenses.map(({ title }) => title),
      ...inlineResults(facts, entry).flatMap(({ text, markdown }) => [text, markdown]),
      ...wordsOf(checkpointNode(entry)),
    ];
    expect(shown.length).toBeGreaterThan(25);
    for (const text of shown) {
      expect([text, foreignWords(text)]).toEqual([text, []]);
    }
  });

  it('goes into the page of a webview as data that cannot end it', () => {
    const page = { scriptUri: 's', styleUri: 't', cspSource: 'https://host', nonce: 'N', language: 'fr', title: 'T' };
    const html = dashboardHtml({ ...page, translations: { Cancel: '</script><b>' } });
    const [, data = ''] =
      /<script type="application\/json" id="translations" nonce="N">(.*?)<\/script>/.exec(html) ?? [];
    expect(JSON.parse(data)).toEqual({ Cancel: '</script><b>' });
    expect(html.match(/<\/script>/g)).toHaveLength(2);
    expect(dashboardHtml({ ...page, translations: undefined })).not.toContain('translations');
  });

  it('keeps every placeholder', () => {
    for (const text of texts) {
      const placeholders = text.match(/\{\w+\}/g) ?? [];
      expect(pseudoText(text).match(/\{\w+\}/g) ?? []).toEqual(placeholders);
    }
  });
});
