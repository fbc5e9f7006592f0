import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { root } from './support/paths.mjs';

/**
 * @typedef {object} Texts
 * @property {readonly string[]} texts Sorted, each once.
 * @property {readonly string[]} unreadable Places where the text is computed, so that no translator could see it.
 */

/** @param {string} folder @returns {string[]} */
function sourcesIn(folder) {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name).replaceAll('\\', '/'))
    .sort();
}

/** @param {string} file */
function parse(file) {
  return ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
}

/**
 * @param {ts.Node} node
 * @param {(node: ts.Node) => void} visit
 */
function walk(node, visit) {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

/**
 * The first argument of every call of `localize`.
 * @param {ts.SourceFile} source
 * @param {Set<string>} texts
 * @param {string[]} unreadable
 */
function extensionTexts(source, texts, unreadable) {
  walk(source, (node) => {
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === 'localize') {
      const [message] = node.arguments;
      if (message !== undefined && ts.isStringLiteralLike(message)) {
        texts.add(message.text);
      } else {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart());
        unreadable.push(`${source.fileName}:${line + 1}`);
      }
    }
  });
}

/**
 * The values of the webviews' tables.
 * @param {ts.SourceFile} source
 * @param {Set<string>} texts
 */
function webviewTexts(source, texts) {
  walk(source, (node) => {
    if (ts.isPropertyAssignment(node) && ts.isStringLiteralLike(node.initializer)) {
      texts.add(node.initializer.text);
    }
  });
}

/**
 * The texts that a translator translates, of extension and webviews; they take them from the same file, l10n/README.md.
 * @returns {Texts}
 */
export function collectTexts() {
  /** @type {Set<string>} */
  const texts = new Set();
  /** @type {string[]} */
  const unreadable = [];
  for (const file of sourcesIn('extension')) {
    extensionTexts(parse(file), texts, unreadable);
  }
  for (const file of sourcesIn('webviews').filter((name) => /\/(?:strings|texts)\.ts$/.test(name))) {
    webviewTexts(parse(file), texts);
  }
  return { texts: [...texts].sort(), unreadable };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(JSON.stringify(Object.fromEntries(collectTexts().texts.map((text) => [text, text])), undefined, 2));
}
