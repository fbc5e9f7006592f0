import type { BatchToken } from './batchTokens';
import type { CalibrationRows } from './layerAccumulator';

/** What every token chose in one layer, tokens in the order of the text. */
export interface LayerTrace {
  readonly activeExperts: number;
  /** `[tokens, k]`, best first. */
  readonly experts: Uint16Array;
  /** `[tokens, k]`. */
  readonly gates: Float32Array;
}

/** Collects the choices of a layer in whatever order the batches come. */
export class TraceCollector {
  readonly trace: LayerTrace;

  constructor(tokens: number, activeExperts: number) {
    this.trace = {
      activeExperts,
      experts: new Uint16Array(tokens * activeExperts),
      gates: new Float32Array(tokens * activeExperts),
    };
  }

  add(tokens: readonly BatchToken[], rows: CalibrationRows): void {
    const { activeExperts: k, experts, gates } = this.trace;
    const ranks = rows.experts.length / rows.tokens;
    tokens.forEach(({ number }, at) => {
      for (let rank = 0; rank < k; rank += 1) {
        experts[number * k + rank] = Number(rows.experts[at * ranks + rank]!);
        gates[number * k + rank] = rows.gates[at * k + rank]!;
      }
    });
  }
}
