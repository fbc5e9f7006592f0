import * as z from 'zod';
import { expertPrecisions, providerNames } from '../../engine/protocol/providerNames';

/** Where a setting may be set: `machine` ones name places of one computer and never come from a workspace. */
export type SettingScope = 'machine' | 'machine-overridable' | 'window' | 'resource';

interface SettingDefinition<Value extends z.ZodType> {
  readonly schema: Value;
  readonly scope: SettingScope;
  /** Whether a running engine must be replaced to see a new value. */
  readonly restartsEngine: boolean;
}

function setting<Value extends z.ZodType>(
  schema: Value,
  scope: SettingScope,
  restartsEngine: boolean,
): SettingDefinition<Value> {
  return { schema, scope, restartsEngine };
}

/** Every setting of the extension with the type of its value; the manifest is checked against this table. */
export const settings = {
  'moeTuner.provider': setting(z.enum(providerNames).default('auto'), 'machine-overridable', true),
  'moeTuner.precision': setting(z.enum(expertPrecisions).default('float32'), 'machine-overridable', true),
  'moeTuner.runtime.directory': setting(z.string().default(''), 'machine', true),
  'moeTuner.threads': setting(z.number().int().min(0).max(1024).default(0), 'machine-overridable', true),
  'moeTuner.cache.directory': setting(z.string().default(''), 'machine', true),
  'moeTuner.cache.limitGigabytes': setting(z.number().min(0.1).default(2), 'machine-overridable', true),
  'moeTuner.memory.hiddenStatesGigabytes': setting(z.number().min(0).default(1), 'machine-overridable', true),
  'moeTuner.memory.deviceGigabytes': setting(z.number().min(0).default(0), 'machine-overridable', true),
  'moeTuner.engine.nodePath': setting(z.string().default(''), 'machine', true),
  'moeTuner.codeLens.enabled': setting(z.boolean().default(true), 'resource', false),
} as const;

export type SettingName = keyof typeof settings;
export type SettingValue<Name extends SettingName> = z.output<(typeof settings)[Name]['schema']>;

/** The value of a setting as read, or its default where what the person wrote does not fit. */
export function checkedSetting<Name extends SettingName>(name: Name, value: unknown): SettingValue<Name> {
  const { schema } = settings[name];
  const parsed = schema.safeParse(value ?? undefined);
  return (parsed.success ? parsed.data : schema.parse(undefined)) as SettingValue<Name>;
}
