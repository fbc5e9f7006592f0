import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureEditorServer } from './editorInstall.mjs';
import { mustRun } from './run.mjs';

/**
 * @typedef {object} EditorOptions
 * @property {readonly string[]} [extensions] VSIX files to install.
 * @property {Record<string, unknown>} [settings] User settings on top of quiet defaults.
 * @property {NodeJS.ProcessEnv} [env] Added to the environment of the server and its extension host.
 * @property {string} [logFile] Receives what the server prints.
 * @property {boolean} [restricted] Folders open in Restricted Mode until the person trusts them; otherwise every folder is trusted.
 *
 * @typedef {object} EditorServer
 * @property {number} port
 * @property {number} processId Also the id of its process group.
 * @property {string} userData
 * @property {(folder: string, payload?: readonly (readonly [string, string])[]) => string} address Of a window.
 * @property {(path: string) => string} remoteUri Address of a file on the server, for the payload.
 * @property {Promise<unknown>} exited Settles when the server has ended, for whatever reason.
 * @property {() => Promise<void>} stop Ends the server with its extension hosts and deletes its data.
 */

/** A workbench that shows only what was asked for: no welcome page, no telemetry, no updates, no trust question. */
const quietSettings = {
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  'workbench.enableExperiments': false,
  'telemetry.telemetryLevel': 'off',
  'extensions.ignoreRecommendations': true,
  'extensions.autoCheckUpdates': false,
  'update.mode': 'none',
  'security.workspace.trust.enabled': false,
  'chat.commandCenter.enabled': false,
  'git.enabled': false,
};

/** Restricted Mode without the question at the start: the person trusts the folder when they choose to. */
const restrictedSettings = {
  'security.workspace.trust.enabled': true,
  'security.workspace.trust.startupPrompt': 'never',
  'security.workspace.trust.banner': 'never',
};

/** Signals that end this program; the server, in a group of its own, would stay behind. */
const endingSignals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);
const endedBySignal = 130;

/** Variables of a surrounding VS Code terminal, which would make the server attach to that window. */
const inherited = /^(VSCODE_|ELECTRON_|CODE_SERVER_)/;

/**
 * Starts a VS Code server on a free port of this machine.
 * @param {EditorOptions} [options]
 * @returns {Promise<EditorServer>}
 */
export async function startEditorServer(options = {}) {
  const main = join(await ensureEditorServer(), 'out', 'server-main.js');
  const home = mkdtempSync(join(tmpdir(), 'moe-tuner-editor-'));
  const userData = join(home, 'user-data');
  mkdirSync(join(userData, 'User'), { recursive: true });
  const settings = {
    ...quietSettings,
    ...(options.restricted === true ? restrictedSettings : {}),
    ...options.settings,
  };
  writeFileSync(join(userData, 'User', 'settings.json'), JSON.stringify(settings, undefined, 2));
  const port = await freePort();
  const folders = [
    ...['--user-data-dir', userData, '--server-data-dir', join(home, 'server-data')],
    ...['--extensions-dir', join(home, 'extensions')],
  ];
  const env = serverEnvironment(options.env);
  for (const extension of options.extensions ?? []) {
    await mustRun(
      process.execPath,
      [main, ...folders, '--accept-server-license-terms', '--install-extension', extension],
      {
        quiet: true,
        env,
      },
    );
  }
  const child = spawn(
    process.execPath,
    [
      ...[main, '--host', '127.0.0.1', '--port', String(port), '--without-connection-token'],
      ...['--accept-server-license-terms', '--telemetry-level', 'off'],
      ...(options.restricted === true ? [] : ['--disable-workspace-trust']),
      ...folders,
    ],
    // A process group of its own, so that its extension hosts and file watchers end with it.
    { env, detached: process.platform !== 'win32', stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const log = options.logFile === undefined ? undefined : createWriteStream(options.logFile);
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => log?.write(chunk));
  }
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const endNow = () => {
    endGroup(child, 'SIGKILL');
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  const endWithUs = () => {
    endNow();
    process.exit(endedBySignal);
  };
  process.once('exit', endNow);
  for (const signal of endingSignals) {
    process.once(signal, endWithUs);
  }
  const stop = async () => {
    endGroup(child, 'SIGTERM');
    const timer = setTimeout(() => endGroup(child, 'SIGKILL'), 3000);
    await exited;
    clearTimeout(timer);
    // The group may outlive its leader.
    endNow();
    process.removeListener('exit', endNow);
    for (const signal of endingSignals) {
      process.removeListener(signal, endWithUs);
    }
    log?.end();
  };
  try {
    await ready(port, exited);
  } catch (error) {
    await stop();
    throw error;
  }
  const remoteUri = (/** @type {string} */ path) => `vscode-remote://127.0.0.1:${port}${path}`;
  return {
    port,
    processId: child.pid ?? 0,
    exited,
    userData,
    remoteUri,
    address: (folder, payload) => {
      const query = new URLSearchParams({ folder });
      if (payload !== undefined) {
        query.set('payload', JSON.stringify(payload));
      }
      return `http://127.0.0.1:${port}/?${query.toString()}`;
    },
    stop,
  };
}

/** @param {NodeJS.ProcessEnv} [added] */
function serverEnvironment(added) {
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !inherited.test(name)));
  return { ...kept, EXTENSIONS_GALLERY: '{}', ...added };
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
function endGroup(child, signal) {
  if (child.pid === undefined) {
    return;
  }
  try {
    if (process.platform === 'win32') {
      spawn('taskkill', ['/pid', String(child.pid), '/t', '/f'], { stdio: 'ignore' });
    } else {
      process.kill(-child.pid, signal);
    }
  } catch {
    // Nothing left to end.
  }
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/**
 * @param {number} port
 * @param {Promise<unknown>} exited
 */
async function ready(port, exited) {
  const state = { ended: false };
  void exited.then(() => (state.ended = true));
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (state.ended) {
      throw new Error('The VS Code server ended while it was starting.');
    }
    try {
      if ((await fetch(`http://127.0.0.1:${port}/version`)).ok) {
        return;
      }
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('The VS Code server did not answer within 60 s.');
}
