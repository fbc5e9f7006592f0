import { existsSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import type { EngineSettings } from '../engine/protocol/settings';
import { TunerError } from '../engine/protocol/errors';
import type { Log } from './common/log';
import { localize } from './common/localize';
import { readSetting } from './common/settings';
import type { EngineLaunch } from './engine/engineProcess';
import { EngineSupervisor } from './engine/supervisor';

const bytesPerGigabyte = 1e9;

function engineLaunch(context: vscode.ExtensionContext): EngineLaunch {
  const script = vscode.Uri.joinPath(context.extensionUri, 'dist', 'engine.js').fsPath;
  const nodePath = readSetting('moeTuner.engine.nodePath');
  for (const file of [script, ...(nodePath === '' ? [] : [nodePath])]) {
    if (!existsSync(file)) {
      throw new TunerError('fileNotFound', localize('The engine cannot be started: this file does not exist.'), {
        file,
        wayOut: file === nodePath ? localize('Correct the setting "moeTuner.engine.nodePath".') : undefined,
      });
    }
  }
  return { script, nodePath: nodePath === '' ? undefined : nodePath, environment: libraryEnvironment() };
}

/** Where the loader of the system looks for CUDA: a folder `lib` in the runtime folder comes first. */
function libraryEnvironment(): Record<string, string> {
  const runtime = readSetting('moeTuner.runtime.directory');
  if (runtime === '' || process.platform !== 'linux') {
    return {};
  }
  const known = process.env.LD_LIBRARY_PATH ?? '';
  return { LD_LIBRARY_PATH: [path.join(runtime, 'lib'), ...(known === '' ? [] : [known])].join(':') };
}

function engineSettings(context: vscode.ExtensionContext): EngineSettings {
  const directory = readSetting('moeTuner.cache.directory');
  const runtime = readSetting('moeTuner.runtime.directory');
  const deviceGigabytes = readSetting('moeTuner.memory.deviceGigabytes');
  return {
    provider: readSetting('moeTuner.provider'),
    precision: readSetting('moeTuner.precision'),
    ...(runtime === '' ? {} : { runtimeDirectory: runtime }),
    threads: readSetting('moeTuner.threads'),
    cacheDirectory: directory === '' ? vscode.Uri.joinPath(context.globalStorageUri, 'cache').fsPath : directory,
    cacheLimitBytes: readSetting('moeTuner.cache.limitGigabytes') * bytesPerGigabyte,
    hiddenMemoryBytes: readSetting('moeTuner.memory.hiddenStatesGigabytes') * bytesPerGigabyte,
    ...(deviceGigabytes === 0 ? {} : { deviceMemoryBytes: deviceGigabytes * bytesPerGigabyte }),
  };
}

/** The supervisor of the bundled engine with this window's settings. Starts nothing. */
export function createEngine(context: vscode.ExtensionContext, log: Log): EngineSupervisor {
  const { version } = context.extension.packageJSON as { version: string };
  return new EngineSupervisor({
    launch: () => engineLaunch(context),
    settings: () => engineSettings(context),
    client: `vscode ${vscode.version}, moe-tuner ${version}`,
    log,
  });
}
