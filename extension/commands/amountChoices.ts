import * as vscode from 'vscode';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import type { QuantizeParams } from '../../engine/protocol/quantization';
import { formatBytes, formatPercent } from '../common/format';
import { localize } from '../common/localize';

/** Shares of experts that a picker offers. */
const offeredRatios = [0.125, 0.25, 0.375, 0.5] as const;
const bitsPerByte = 8;

/** What may stay where a share of the experts goes: as many as are active at least. */
export function expertsLeft({ experts, activeExperts }: CheckpointSummary, ratio: number): number {
  return Math.max(activeExperts, experts - Math.round(experts * ratio));
}

/** What is wrong with a typed share; undefined when it can be used. */
export function ratioProblem(text: string): string | undefined {
  const percent = Number(text);
  return text.trim() !== '' && percent > 0 && percent < 100 ? undefined : localize('Type a number between 0 and 100.');
}

/** Asks which share of the experts goes. */
export async function pickRatio({ summary }: { readonly summary: CheckpointSummary }): Promise<number | undefined> {
  const offered = offeredRatios
    .filter((ratio) => expertsLeft(summary, ratio) > summary.activeExperts || ratio === 0.5)
    .map((ratio) => {
      const left = expertsLeft(summary, ratio);
      const bytes = formatBytes((summary.expertBytes * left) / summary.experts);
      return {
        label: localize('{share} fewer experts', { share: formatPercent(ratio) }),
        description: localize('{left} of {all} stay in every layer, {bytes} of weights', {
          left,
          all: summary.experts,
          bytes,
        }),
        ratio,
      };
    });
  const another = { label: localize('Another share…'), description: '', ratio: undefined };
  const placeHolder = localize('How many experts may go?');
  const choice = await vscode.window.showQuickPick([...offered, another], { placeHolder });
  if (choice !== another) {
    return choice?.ratio;
  }
  const typed = await vscode.window.showInputBox({
    prompt: localize('Percent of the experts of every layer that go'),
    validateInput: ratioProblem,
  });
  return typed === undefined ? undefined : Number(typed) / 100;
}

/** What a preset of bits asks the engine for. */
export type BitsRequest = Pick<QuantizeParams, 'bits' | 'averageBits'>;

/** Uniform bits, and mixed ones that the engine spreads over layers and projections. */
const bitPresets: readonly { readonly bits: number; readonly mixed: boolean }[] = [
  { bits: 8, mixed: false },
  { bits: 4, mixed: false },
  { bits: 3.5, mixed: true },
  { bits: 3, mixed: true },
  { bits: 3, mixed: false },
  { bits: 2.5, mixed: true },
  { bits: 2, mixed: false },
];

/** Asks for bits per weight. */
export async function pickBits({ summary }: { readonly summary: CheckpointSummary }): Promise<BitsRequest | undefined> {
  const weights = summary.layers.reduce((sum, layer) => sum + layer.experts * (layer.expertParameters ?? 0), 0);
  const items = bitPresets.map(({ bits, mixed }) => ({
    label: mixed ? localize('{bits} bits on average', { bits }) : localize('{bits} bits', { bits }),
    description: localize('{what}, about {bytes} of expert weights', {
      what: mixed ? localize('mixed: more where it matters') : localize('the same everywhere'),
      bytes: formatBytes((weights * bits) / bitsPerByte),
    }),
    request: (mixed ? { averageBits: bits } : { bits }) as BitsRequest,
  }));
  const placeHolder = localize('How many bits may a weight of the experts take?');
  return (await vscode.window.showQuickPick(items, { placeHolder }))?.request;
}
