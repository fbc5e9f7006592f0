import { dirname, relative, resolve, sep } from 'node:path';
import { builtinModules } from 'node:module';
import { root } from '../support/paths.mjs';

/**
 * The rooms of the project and what each must not know. A file belongs to the longest room its path starts with.
 *
 * `rooms`: rooms it must not import from (a name stands for everything below it; own files are always allowed).
 * `except`: parts of the forbidden rooms that are allowed after all.
 * `packages`: packages it must not import; `only` instead names the complete list of packages it may import.
 * "node" stands for every module of Node, "files" for those that reach the file system.
 *
 * @type {Readonly<Record<string, { rooms?: readonly string[], except?: readonly string[], packages?: readonly string[], only?: readonly string[] }>>}
 */
export const rooms = {
  engine: { rooms: ['extension', 'webviews', 'test'], packages: ['vscode'] },
  'engine/protocol': { rooms: ['engine', 'extension', 'webviews', 'test'], only: ['zod'] },
  'engine/numeric': { rooms: ['engine', 'extension', 'webviews', 'test'], only: [] },
  'engine/checkpoint': {
    rooms: [
      'engine/runtime',
      'engine/graph',
      'engine/measure',
      'engine/methods',
      'engine/jobs',
      'extension',
      'webviews',
    ],
    packages: ['vscode'],
  },
  'engine/families': {
    rooms: ['engine/runtime', 'engine/measure', 'engine/methods', 'engine/jobs', 'extension', 'webviews'],
    packages: ['vscode'],
  },
  'engine/graph': {
    rooms: ['engine/runtime', 'engine/measure', 'engine/methods', 'engine/jobs', 'extension', 'webviews'],
    packages: ['vscode', 'files'],
  },
  'engine/runtime': {
    rooms: ['engine/measure', 'engine/methods', 'engine/jobs', 'extension', 'webviews'],
    packages: ['vscode'],
  },
  // What a calibration pass measures is described beside the methods that read it: a type, no decision.
  'engine/measure': {
    rooms: ['engine/methods', 'engine/jobs', 'extension', 'webviews'],
    except: ['engine/methods/statistics'],
    packages: ['vscode'],
  },
  'engine/methods': {
    rooms: ['engine/runtime', 'engine/jobs', 'extension', 'webviews'],
    packages: ['vscode', 'files'],
  },
  'engine/onnxModel': {
    rooms: ['engine/runtime', 'engine/measure', 'engine/methods', 'engine/jobs', 'extension', 'webviews'],
    packages: ['vscode'],
  },
  'engine/transform': { rooms: ['engine/jobs', 'extension', 'webviews'], packages: ['vscode'] },
  'engine/export': { rooms: ['engine/jobs', 'extension', 'webviews'], packages: ['vscode'] },
  'engine/jobs': { rooms: ['extension', 'webviews', 'test'], packages: ['vscode'] },
  extension: { rooms: ['engine', 'webviews', 'test'], except: ['engine/protocol'] },
  webviews: { rooms: ['engine', 'extension', 'test'], except: ['engine/protocol'], packages: ['vscode', 'node'] },
};

/**
 * Packages with one home: everybody else goes through the module that lives there.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const packageHomes = {
  'onnxruntime-node': ['engine/runtime', 'test'],
  'onnxruntime-common': ['engine/runtime', 'test'],
  'chart.js': ['webviews/charts', 'test'],
  '@vscode/webview-ui-toolkit': ['webviews/ui-kit', 'test'],
  vscode: ['extension', 'test/integration', 'test/unit', 'test/support'],
};

const fileModules = new Set(['fs', 'fs/promises', 'child_process']);
const nodeModules = new Set(builtinModules);

/**
 * @param {string} path
 * @param {string} room
 */
function isIn(path, room) {
  return path === room || path.startsWith(`${room}/`);
}

/** @param {string} file Path from the root, with slashes. */
function roomOf(file) {
  return Object.keys(rooms)
    .filter((room) => isIn(file, room))
    .sort((a, b) => b.length - a.length)[0];
}

/** @param {string} specifier */
function packageName(specifier) {
  const bare = specifier.replace(/^node:/, '');
  const parts = bare.split('/');
  return bare.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? bare);
}

/**
 * Judges one import.
 * @param {string} file Importing file, path from the root with slashes.
 * @param {string} specifier What stands between the quotes.
 * @returns {string | undefined} Why it is forbidden.
 */
export function whyForbidden(file, specifier) {
  return specifier.startsWith('.') ? relativeImport(file, specifier) : packageImport(file, specifier);
}

/**
 * @param {string} file
 * @param {string} specifier
 */
function relativeImport(file, specifier) {
  const room = roomOf(file);
  const law = room === undefined ? undefined : rooms[room];
  const target = relative(root, resolve(root, dirname(file), specifier))
    .split(sep)
    .join('/');
  if (room === undefined || law === undefined || isIn(target, room)) {
    return undefined;
  }
  const forbidden = law.rooms?.find((each) => isIn(target, each));
  const allowed = law.except?.some((each) => isIn(target, each)) ?? false;
  return forbidden === undefined || allowed ? undefined : `${room} must not know ${forbidden} (${target}).`;
}

/**
 * @param {string} file
 * @param {string} specifier
 */
function packageImport(file, specifier) {
  const name = packageName(specifier);
  const isNode = nodeModules.has(specifier.replace(/^node:/, ''));
  const homes = packageHomes[name];
  if (homes !== undefined && !homes.some((home) => isIn(file, home))) {
    return `${name} is imported only in ${homes.filter((home) => !isIn(home, 'test')).join(', ')}.`;
  }
  const room = roomOf(file);
  const law = room === undefined ? undefined : rooms[room];
  if (law === undefined) {
    return undefined;
  }
  if (law.only !== undefined && !law.only.includes(name)) {
    return `${room} imports no package${law.only.length > 0 ? ` but ${law.only.join(', ')}` : ''}.`;
  }
  const touchesFiles = isNode && fileModules.has(specifier.replace(/^node:/, ''));
  const broken = law.packages?.find(
    (each) => each === name || (each === 'node' && isNode) || (each === 'files' && touchesFiles),
  );
  return broken === undefined ? undefined : `${room} must not import ${specifier}.`;
}

/** Every place where a module is named: static, type-only and dynamic imports, re-exports and require. */
const moduleNames = [
  ':matches(ImportDeclaration, ExportNamedDeclaration, ExportAllDeclaration, ImportExpression) > Literal.source',
  'TSImportType Literal',
  'TSExternalModuleReference > Literal',
  "CallExpression[callee.name='require'] > Literal",
].join(', ');

/**
 * ESLint rule over {@link whyForbidden}.
 * @type {import('eslint').Rule.RuleModule}
 */
export const importLawRule = {
  meta: { type: 'problem', schema: [], messages: { broken: 'Import law: {{reason}}' } },
  create(context) {
    const file = relative(root, context.filename).split(sep).join('/');
    return {
      [moduleNames]: (/** @type {import('estree').Literal & import('eslint').Rule.NodeParentExtension} */ node) => {
        const reason = typeof node.value === 'string' ? whyForbidden(file, node.value) : undefined;
        if (reason !== undefined) {
          context.report({ node, messageId: 'broken', data: { reason } });
        }
      },
    };
  },
};
