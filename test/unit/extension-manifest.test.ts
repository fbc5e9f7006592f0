import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { providerNames } from '../../engine/protocol/doctor';
import { planFileSuffix, planVersion } from '../../engine/protocol/plan';
import { commands } from '../../extension/common/commandIds';
import { settings, type SettingName } from '../../extension/common/settingsTable';

interface MenuItem {
  readonly command: string;
  readonly when?: string;
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
    readonly commands: readonly { command: string; title: string; category: string; enablement?: string }[];
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
