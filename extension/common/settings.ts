import * as vscode from 'vscode';
import { checkedSetting, settings, type SettingName, type SettingValue } from './settingsTable';

/** The value of a setting for a resource, validated. */
export function readSetting<Name extends SettingName>(name: Name, scope?: vscode.Uri): SettingValue<Name> {
  return checkedSetting(name, vscode.workspace.getConfiguration(undefined, scope ?? null).get<unknown>(name));
}

/** Whether a change touches a setting that a running engine has already read. */
export function affectsEngine(event: vscode.ConfigurationChangeEvent): boolean {
  return (Object.keys(settings) as SettingName[]).some(
    (name) => settings[name].restartsEngine && event.affectsConfiguration(name),
  );
}
