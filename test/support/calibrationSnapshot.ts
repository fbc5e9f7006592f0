import type { CalibrateResult } from '../../engine/protocol/calibration';
import { summary } from './webviewSnapshots';

const experts = summary.experts;
const tokens = 4000;

/** Expert e of layer l sees more tokens the larger (e + l) modulo the experts; the last expert of layer 3 sees none. */
const countOf = (layer: number, expert: number): number =>
  layer === 3 && expert === experts - 1 ? 0 : 100 + 60 * ((expert + layer) % experts);

/** A calibration of the checkpoint of the snapshots, with loads and pairs that a test can compute. */
export const calibration: CalibrateResult = {
  checkpoint: summary.folder,
  fingerprint: summary.fingerprint,
  file: '/models/olmoe-text.moestats.safetensors',
  bytes: 1_000_000,
  tokens,
  tags: [{ name: 'prose', tokens }],
  seed: 0,
  layers: summary.layers.map(({ index }) => ({
    index,
    experts,
    activeExperts: summary.activeExperts,
    counts: Array.from({ length: experts }, (_, expert) => countOf(index, expert)),
    coverage: {
      leastTokens: index === 3 ? 0 : 100,
      medianTokens: 1030,
      shareThreshold: 20,
      tokenThreshold: 512,
      belowShare: index === 3 ? [experts - 1] : [],
      belowTokens: [],
      neverChosen: index === 3 ? [experts - 1] : [],
    },
    coactivation: [
      [0, 1, 50],
      [2, 5, 40],
    ],
  })),
  notes: [],
  resumedLayers: 0,
  seconds: 12.5,
  provider: 'cpu',
  finished: '2026-08-20T09:00:00.000Z',
};
