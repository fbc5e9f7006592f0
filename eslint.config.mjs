import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { importLawRule } from './scripts/lint/importLaw.mjs';

const noDefaultExport = {
  selector: 'ExportDefaultDeclaration',
  message: 'Export by name: a default export has a different name in every importer.',
};
const noBarrel = [
  { selector: 'ExportAllDeclaration', message: 'No barrel files: import from the file that holds the thing.' },
  {
    selector: 'ExportNamedDeclaration[source]',
    message: 'No barrel files: import from the file that holds the thing.',
  },
];

export default defineConfig(
  globalIgnores(['dist/', 'node_modules/', 'test-results/', '.vscode-test/', 'media/', 'coverage/', '.cache/']),
  {
    files: ['**/*.ts', '**/*.mts', '**/*.mjs'],
    extends: [tseslint.configs.strictTypeChecked],
    plugins: { moe: { rules: { 'import-law': importLawRule } } },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'moe/import-law': 'error',
      'max-lines': ['error', { max: 500 }],
      'no-restricted-syntax': ['error', noDefaultExport, ...noBarrel],
      eqeqeq: 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      // Numbers in messages are the substance of this product.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // A leading underscore says that a parameter is there for its place alone.
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' }],
      // Arrow functions that forward a call are shorter and mean the same.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  {
    // Only programs of the command line speak through the console.
    files: ['engine/!(cli)*.ts', 'engine/*/**/*.ts', 'extension/**/*.ts', 'webviews/**/*.ts'],
    rules: { 'no-console': 'error' },
  },
  {
    // JavaScript is typed by JSDoc, which these rules cannot see.
    files: ['**/*.mjs'],
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    // Nothing imports a test. Its matchers are typed any, and its fake streams have nothing to wait for.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    // Programs that tests start as they are, without a build: plain JavaScript without types.
    files: ['test/support/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
  },
  {
    // Tools demand a default export of their configuration.
    files: ['*.config.mts', '*.config.mjs'],
    rules: { 'no-restricted-syntax': ['error', ...noBarrel] },
  },
  {
    // With noUncheckedIndexedAccess every element read may be undefined. In loops over arrays whose length is known the
    // assertion says so; a check there would cost time and could never fail.
    files: ['engine/**/*.ts', 'webviews/charts/**/*.ts', 'test/**/*.ts'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' },
  },
);
