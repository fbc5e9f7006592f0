import { join } from 'node:path';
import { root } from './paths.mjs';
import { findProgram, mustRun } from './run.mjs';

/**
 * Opens a folder in VS Code with the extension: on the desktop where the command `code` exists, else in the VS Code
 * server, whose address is printed and which runs until the person ends it.
 * @param {string} folder
 */
export async function openEditor(folder) {
  const config = join(folder, 'config.json');
  if ((await findProgram('code')) !== undefined) {
    await mustRun('code', ['--new-window', `--extensionDevelopmentPath=${root}`, folder, config]);
    console.log('Opened in VS Code.');
    return;
  }
  const { packageExtension, thisPlatform } = await import('../package.mjs');
  const { startEditorServer } = await import('./editorServer.mjs');
  console.log('No desktop VS Code here (command "code"): starting the VS Code server …');
  const vsix = await packageExtension(thisPlatform, join(root, '.cache'));
  const server = await startEditorServer({ extensions: [vsix] });
  console.log(
    `\nOpen this address in a browser. Ctrl+C ends the server.\n\n  ${server.address(folder, [['openFile', server.remoteUri(config)]])}\n`,
  );
  await server.exited;
  throw new Error('The VS Code server ended.');
}
