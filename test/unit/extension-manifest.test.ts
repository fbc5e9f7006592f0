import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { providerNames } from '../../engine/protocol/providerNames';
import { planFileSuffix, planVersion } from '../../engine/protocol/plan';
import { commands } from '../../extension/common/commandIds';
import { settings, type SettingName } from '../../extension/common/settingsTable';

interface MenuItem {
  readonly command: string;
  readonly when?: string;
  readonly group?: string;
}
interface SettingManifest {
  readonly type: string;
  readonly default: unknown;
  readonly scope: string;
  readonly enum?: readonly string[];
  readonly markdownEnumDescriptions?: readonly string[];
}
interface Manifest {
  readonly main: string;
  readonly icon: string;
  readonly activationEvents: readonly string[];
  readonly capabilities: { readonly untrustedWorkspaces: { readonly restrictedConfigurations: readonly string[] } };
  readonly contributes: {
    readonly commands: readonly {
      command: string;
      title: string;
      category: string;
      icon?: string;
      enablement?: string;
    }[];
    readonly menus: Readonly<Record<string, readonly MenuItem[]>>;
    readonly views: Readonly<Record<string, readonly { id: string; icon: string }[]>>;
    readonly configuration: { readonly properties: Readonly<Record<string, SettingManifest>> };
    readonly jsonValidation: readonly { fileMatch: string; url: string }[];
    readonly walkthroughs: readonly { steps: readonly { media: { markdown: string }; completionEvents: string[] }[] }[];
    readonly colors: readonly { id: string }[];
  };
}

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const manifestText = read('package.json');
const manifest = JSON.parse(manifestText) as Manifest;
const translations = JSON.parse(read('package.nls.json')) as Record<string, string>;
const { contributes } = manifest;
const commandIds = Object.keys(commands);

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(join(folder, name)));
}
const extensionSource = sources('extension').join('\n');

describe('commands', () => {
  it('are declared exactly as they are registered', () => {
    expect(contributes.commands.map(({ command }) => command).sort()).toEqual([...commandIds].sort());
  });

  it('have one category', () => {
    expect(new Set(contributes.commands.map(({ category }) => category))).toEqual(new Set(['MoE Tuner']));
  });

  it('are hidden in the palette exactly where they are internal', () => {
    const hidden = (contributes.menus['commandPalette'] ?? []).filter(({ when }) => when === 'false');
    const internal = Object.entries(commands).filter(([, { internal: isInternal }]) => isInternal);
    expect(hidden.map(({ command }) => command).sort()).toEqual(internal.map(([id]) => id).sort());
  });

  it('of menus, walkthroughs and welcome texts exist', () => {
    const inMenus = Object.values(contributes.menus).flatMap((items) => items.map(({ command }) => command));
    const inTexts = [...JSON.stringify(translations).matchAll(/command:(moeTuner\.\w+)/g)].map(([, id]) => id);
    const inEvents = [...manifestText.matchAll(/onCommand:(moeTuner\.\w+)/g)].map(([, id]) => id);
    expect(inMenus.length * inTexts.length * inEvents.length).toBeGreaterThan(0);
    for (const id of [...inMenus, ...inTexts, ...inEvents]) {
      expect(commandIds).toContain(id);
    }
  });

  it('that start the engine are off in Restricted Mode', () => {
    for (const id of [
      'profile',
      'findBudgets',
      'evaluate',
      'evaluatePlan',
      'applyPlan',
      'doctor',
      'restartEngine',
      'clearCache',
    ]) {
      const declared = contributes.commands.find(({ command }) => command === `moeTuner.${id}`);
      expect(declared?.enablement, id).toContain('isWorkspaceTrusted');
    }
  });
});

describe('the palette', () => {
  const shown = contributes.commands.filter(({ command }) => !commands[command as keyof typeof commands].internal);
  const titleOf = ({ category, title }: (typeof shown)[number]): string =>
    `${category}: ${translations[title.replaceAll('%', '')]!}`;

  it('says for each command when it can run, in words of the editor or of the extension', () => {
    const own = [...readFileSync(join(root, 'extension/common/contextKeys.ts'), 'utf8').matchAll(/'(moeTuner\.\w+)'/g)];
    const known = new Set([
      ...own.map(([, key]) => key),
      ...['isWorkspaceTrusted', 'virtualWorkspace', 'workspaceFolderCount', 'resourceFilename', 'activeCustomEditorId'],
    ]);
    for (const { command, enablement } of shown) {
      expect(enablement, command).toBeTruthy();
      const keys = enablement!.replace(/\/.*\//g, '').match(/[A-Za-z][\w.]*/g)!;
      const unknown = keys.filter((key) => key !== 'true' && key !== 'moeTuner.planEditor' && !known.has(key));
      expect([command, unknown]).toEqual([command, []]);
    }
  });

  it('finds every command by the words people look for', () => {
    const words: Readonly<Record<string, readonly string[]>> = {
      'moeTuner.profile': ['profile', 'sensitivity'],
      'moeTuner.findBudgets': ['budget'],
      'moeTuner.calibrate': ['calibrate', 'experts'],
      'moeTuner.prune': ['prune', 'experts'],
      'moeTuner.merge': ['merge', 'experts'],
      'moeTuner.quantize': ['quantize', 'weights'],
      'moeTuner.evaluate': ['evaluate', 'checkpoint'],
      'moeTuner.evaluatePlan': ['evaluate', 'plan'],
      'moeTuner.applyPlan': ['apply', 'plan', 'export'],
      'moeTuner.generate': ['generate', 'playground'],
      'moeTuner.setActiveExperts': ['active', 'experts', 'onnx'],
      'moeTuner.openPlanEditor': ['plan', 'editor', 'visual'],
      'moeTuner.openPlanAsText': ['plan', 'text'],
      'moeTuner.comparePlans': ['compare', 'plan'],
      'moeTuner.openSample': ['sample'],
      'moeTuner.openDashboard': ['dashboard'],
      'moeTuner.openDashboardInEditor': ['dashboard', 'editor'],
      'moeTuner.refreshCheckpoints': ['search', 'checkpoint'],
      'moeTuner.doctor': ['engine', 'diagnostics'],
      'moeTuner.selectProvider': ['select', 'provider'],
      'moeTuner.restartEngine': ['restart', 'engine'],
      'moeTuner.cancelJob': ['cancel', 'job'],
      'moeTuner.showLog': ['log'],
      'moeTuner.clearCache': ['clear', 'cache'],
      'moeTuner.copyDiagnostics': ['copy', 'diagnostics'],
    };
    expect(Object.keys(words).sort()).toEqual(shown.map(({ command }) => command).sort());
    for (const command of shown) {
      const title = titleOf(command).toLowerCase();
      const missing = ['moe', ...words[command.command]!].filter((word) => !title.includes(word));
      expect([title, missing]).toEqual([title, []]);
    }
    expect(new Set(shown.map(titleOf)).size).toBe(shown.length);
  });

  it('has an icon for whatever stands in a title bar or inline in a tree', () => {
    const places = ['view/title', 'editor/title', 'view/item/context'];
    const items = places.flatMap((place) => contributes.menus[place] ?? []);
    const barred = items.filter(({ group = '' }) => /^(?:navigation|inline)/.test(group));
    expect(barred.length).toBeGreaterThan(6);
    for (const { command } of barred) {
      const icon = contributes.commands.find((one) => one.command === command)?.icon;
      expect([command, icon]).toEqual([command, expect.stringMatching(/^\$\([\w-]+\)$/)]);
    }
  });
});

describe('texts', () => {
  it('are all in package.nls.json, and none there is unused', () => {
    const used = [...manifestText.matchAll(/"%([\w.]+)%"/g)].map(([, key]) => key!);
    expect([...new Set(used)].sort()).toEqual(Object.keys(translations).sort());
  });

  it('leave no title or description untranslated', () => {
    for (const [, value] of manifestText.matchAll(/"(?:title|markdownDescription|displayName)": "([^"]*)"/g)) {
      expect(value).toMatch(/^%[\w.]+%$/);
    }
  });
});

describe('settings', () => {
  const declared = contributes.configuration.properties;

  it('are declared exactly as they are typed', () => {
    expect(Object.keys(declared).sort()).toEqual(Object.keys(settings).sort());
  });

  it.each(Object.keys(settings) as SettingName[])(
    '%s has the same default and scope, and the type accepts it',
    (name) => {
      const { schema, scope } = settings[name];
      expect(declared[name]?.scope).toBe(scope);
      expect(declared[name]?.default).toEqual(schema.parse(undefined));
      const types: Record<string, string> = { integer: 'number' };
      const type = declared[name]?.type ?? '';
      expect(typeof schema.parse(undefined)).toBe(types[type] ?? type);
    },
  );

  it('offers every provider with a description', () => {
    expect(declared['moeTuner.provider']?.enum).toEqual([...providerNames]);
    expect(declared['moeTuner.provider']?.markdownEnumDescriptions).toHaveLength(providerNames.length);
  });

  it('that name places of a machine cannot come from a workspace', () => {
    const { restrictedConfigurations } = manifest.capabilities.untrustedWorkspaces;
    for (const name of ['moeTuner.cache.directory', 'moeTuner.engine.nodePath', 'moeTuner.runtime.directory']) {
      expect(declared[name]?.scope).toBe('machine');
      expect(restrictedConfigurations).toContain(name);
    }
  });

  it('are read by name somewhere', () => {
    for (const name of Object.keys(settings)) {
      expect(extensionSource, name).toContain(`readSetting('${name}'`);
    }
  });
});

describe('files and ids', () => {
  it('exist where the manifest points', () => {
    const files = [
      manifest.icon,
      ...Object.values(contributes.views).flatMap((views) => views.map(({ icon }) => icon)),
      ...contributes.jsonValidation.map(({ url }) => url),
      ...contributes.walkthroughs.flatMap(({ steps }) => steps.map(({ media }) => media.markdown)),
    ];
    for (const file of files) {
      expect(existsSync(join(root, file)), file).toBe(true);
    }
  });

  it('validates plan files with the schema of their version', () => {
    expect(contributes.jsonValidation).toEqual([
      { fileMatch: `*${planFileSuffix}`, url: `./media/schemas/moeplan-${planVersion}.schema.json` },
    ]);
  });

  it('names views and colors as the code does', () => {
    for (const { id } of [...Object.values(contributes.views).flat(), ...contributes.colors]) {
      expect(extensionSource, id).toContain(`'${id}'`);
    }
  });

  it('activates on files only', () => {
    expect(manifest.activationEvents).not.toContain('*');
    expect(manifest.activationEvents).not.toContain('onStartupFinished');
    expect(manifest.activationEvents).toContain(`workspaceContains:**/*${planFileSuffix}`);
  });

  it('brings a complete sample without golden files', () => {
    const names = readdirSync(join(root, 'media/sample'));
    for (const name of ['config.json', 'model.safetensors', 'tokenizer.json', 'tasks.jsonl', 'calibration.jsonl']) {
      expect(names).toContain(name);
    }
    expect(names.filter((name) => name.startsWith('golden'))).toEqual([]);
    expect(statSync(join(root, 'media/sample/model.safetensors')).size).toBeGreaterThan(1e6);
  });
});
