import { resolve } from 'node:path';
import { build } from 'esbuild';

export const repository = resolve(import.meta.dirname, '../..');

/** A webview bundle held in memory. */
export interface WebviewBundle {
  readonly script: string;
  readonly style: string;
}

/**
 * Bundles a browser entry as the build does for the package: one minified script and one style sheet.
 *
 * @param entry path below the repository root
 */
export async function bundleWebview(entry: string): Promise<WebviewBundle> {
  const result = await build({
    absWorkingDir: repository,
    entryPoints: [entry],
    outfile: 'bundle.js',
    bundle: true,
    minify: true,
    write: false,
    platform: 'browser',
    target: 'chrome120',
    format: 'iife',
    legalComments: 'none',
    logLevel: 'warning',
  });
  const output = (ending: string): string => result.outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? '';
  return { script: output('.js'), style: output('.css') };
}
