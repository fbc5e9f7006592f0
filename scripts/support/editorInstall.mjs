import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toolCache } from './paths.mjs';
import { mustRun } from './run.mjs';

/**
 * The npm package code-server contains a complete VS Code server. 4.100.3 is VS Code 1.100.3, the version that
 * `engines.vscode` promises to support, and the last line that runs on Node 20.
 */
const editorVersion = '4.100.3';
/** Search program of the workbench: without it no extension is activated by the files of a workspace. */
const searchVersion = '1.18.0';
const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

/**
 * Installs the VS Code server into the tool cache unless it is there. Nothing is compiled.
 * @returns {Promise<string>} Folder of the server: contains out/server-main.js.
 */
export async function ensureEditorServer() {
  const home = join(toolCache, `vscode-server-${editorVersion}-${process.platform}-${process.arch}`);
  if (!existsSync(home)) {
    console.log(`Installing the VS Code server ${editorVersion} into ${home} …`);
    mkdirSync(toolCache, { recursive: true });
    // Built beside its final place and renamed: an interrupted or concurrent installation is never used.
    const building = mkdtempSync(`${home}.`);
    try {
      await installInto(building);
      renameSync(building, home);
    } catch (error) {
      rmSync(building, { recursive: true, force: true });
      if (!existsSync(home)) {
        throw error;
      }
    }
  }
  return serverFolder(home);
}

/** @param {string} home */
async function installInto(home) {
  writeFileSync(join(home, 'package.json'), JSON.stringify({ private: true }));
  const search = `@vscode/ripgrep-${process.platform}-${process.arch}@${searchVersion}`;
  await mustRun('npm', [...install, `code-server@${editorVersion}`, search], { cwd: home, quiet: true });
  const server = serverFolder(home);
  // The published shrinkwrap lacks a peer dependency, which `npm ci` refuses.
  await mustRun('npm', [...install, '--omit=dev', '--legacy-peer-deps'], { cwd: server, quiet: true });
  // The server looks for its modules under the name they have in the desktop product.
  symlinkSync('node_modules', join(server, 'node_modules.asar'), 'junction');
  const searchPackage = join(server, 'node_modules', '@vscode', 'ripgrep');
  const binaries = join(home, 'node_modules', '@vscode', `ripgrep-${process.platform}-${process.arch}`, 'bin');
  rmSync(join(searchPackage, 'bin'), { recursive: true, force: true });
  renameSync(binaries, join(searchPackage, 'bin'));
}

/** @param {string} home */
function serverFolder(home) {
  return join(home, 'node_modules', 'code-server', 'lib', 'vscode');
}
