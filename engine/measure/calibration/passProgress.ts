import type { MeasuredLayer } from './calibrationPass';

/** Hidden states that an earlier run kept: those before layer `layer` runs. */
export interface KeptHidden {
  readonly layer: number;
  read(batch: number): Promise<Float32Array>;
}

/**
 * What a pass leaves behind while it runs, so that the next run with the same model and text continues after it was cancelled or
 * killed. Nothing that goes wrong here fails the pass: it costs the next run time.
 */
export interface PassProgress {
  /** A layer measured earlier, by decoder layer. */
  readLayer(index: number): Promise<MeasuredLayer | undefined>;
  writeLayer(layer: MeasuredLayer): Promise<void>;
  /** @param lengths numbers of every batch; states of other lengths are not given */
  readHidden(lengths: readonly number[]): Promise<KeptHidden | undefined>;
  /** May keep the hidden states before layer `layer`; decides by itself whether it is worth the time. */
  keepHidden(layer: number, lengths: readonly number[], read: (batch: number) => Promise<Float32Array>): Promise<void>;
  /** All layers are measured: hidden states are not needed any more. */
  finished(): Promise<void>;
}
