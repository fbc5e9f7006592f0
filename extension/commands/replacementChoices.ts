import * as vscode from 'vscode';
import type { PruneParams } from '../../engine/protocol/pruning';
import { localize } from '../common/localize';

export type Replacement = PruneParams['replacement'];

interface ReplacementText {
  readonly label: string;
  readonly description: string;
  /** Means of outputs are measured on text. */
  readonly needsText: boolean;
}

/** What may stand where experts go, the default first. */
export function replacementTexts(): Readonly<Record<Replacement, ReplacementText>> {
  return {
    none: {
      label: localize('Nothing'),
      description: localize('Their router rows go too, and the files get smaller'),
      needsText: false,
    },
    constant: {
      label: localize('Their mean output'),
      description: localize('The router still chooses them and gets a constant (MoNE); for ONNX'),
      needsText: true,
    },
    zero: {
      label: localize('Zero'),
      description: localize('The router still chooses them and gets nothing; files keep their size'),
      needsText: false,
    },
  };
}

/** Asks what the router gets from experts that go. */
export async function pickReplacement(hasText: boolean): Promise<Replacement | undefined> {
  const items = Object.entries(replacementTexts())
    .filter(([, { needsText }]) => hasText || !needsText)
    .map(([name, { label, description }]) => ({ label, description, name: name as Replacement }));
  const placeHolder = localize('What stands where experts go?');
  return (await vscode.window.showQuickPick(items, { placeHolder }))?.name;
}
