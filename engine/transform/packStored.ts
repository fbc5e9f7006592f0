import { fromFloat32 } from '../checkpoint/encodeDtype';
import type { TensorEntry } from '../checkpoint/types';
import type { BlockQuantizedWeight, FeedForwardSpec, LinearSpec } from '../families/specification';
import { packBfloat16, type PackedMatrix } from '../methods/quantize/packBfloat16';
import type { ProjectionGroups } from '../methods/quantize/projectionGroups';
import { projections, type ExpertBits, type Projection } from '../methods/quantize/quantizers';
import { TunerError } from '../protocol/errors';
import { ReadAhead } from './readAhead';
import type { ScratchWeights } from './scratchWeights';

/** An expert of a layer and what becomes of it. */
export interface StoredExpert {
  readonly name: string;
  readonly network: FeedForwardSpec;
  readonly bits: ExpertBits;
}

/**
 * Experts rounded to nearest straight from their stored bytes: the same codes as the general way, many times as fast. While one
 * matrix is rounded, the next one is read and the one before is written. Dispose it.
 */
export class StoredPacker {
  private readonly reader: ReadAhead;
  private writes: Promise<unknown> = Promise.resolve();

  /** @param experts that {@link packsStored} holds for, in the order in which they will be packed */
  constructor(
    private readonly scratch: ScratchWeights,
    experts: readonly StoredExpert[],
    private readonly groups: ProjectionGroups,
  ) {
    this.reader = new ReadAhead(
      experts.flatMap((expert) => roundedProjections(expert).map(([, linear]) => entryOf(linear))),
    );
  }

  /**
   * Rounds the next expert. What it becomes is known once it is written, after this call.
   * @throws TunerError `fileNotFound`, `malformedSafetensors`; `writeFailed` from the result
   */
  async pack(expert: StoredExpert): Promise<() => Promise<FeedForwardSpec>> {
    const { name, network, bits } = expert;
    const written = new Map<Projection, Promise<LinearSpec>>();
    for (const [projection, linear] of roundedProjections(expert)) {
      const { outputSize: rows, inputSize: columns } = linear;
      const width = bits[projection] as 4 | 8;
      const bytes = await this.reader.next();
      const stored = new Uint16Array(bytes.buffer, bytes.byteOffset, rows * columns);
      const packed = packBfloat16(stored, this.groups[projection], width);
      // The write before has had the time of the rounding; now it must be done.
      await this.writes;
      const write = this.write(`${name}.${projection}`, linear, width, this.groups[projection], packed);
      write.catch(() => undefined);
      this.writes = write;
      written.set(projection, write);
    }
    return async () => {
      const linearOf = async (projection: Projection, before: LinearSpec) => (await written.get(projection)) ?? before;
      const up = await linearOf('up', upOf(network));
      const down = await linearOf('down', network.down);
      return network.layout === 'gated'
        ? { ...network, gate: await linearOf('gate', network.gate), up, down }
        : { layout: 'ungated', up, down };
    };
  }

  /** Waits until everything is written, so that others may write. */
  async settle(): Promise<void> {
    await this.writes;
  }

  async dispose(): Promise<void> {
    await this.writes.catch(() => undefined);
    await this.reader.dispose();
  }

  private async write(
    name: string,
    linear: LinearSpec,
    bits: 4 | 8,
    group: number,
    { codes, scales }: PackedMatrix,
  ): Promise<LinearSpec> {
    const { outputSize: rows, inputSize: columns } = linear;
    const groups = columns / group;
    const weight: BlockQuantizedWeight = {
      storage: 'block-quantized',
      bits,
      group,
      rows,
      columns,
      codes: await this.scratch.write(`${name}.codes`, 'U8', [rows, groups, (group * bits) / 8], codes),
      scales: await this.scratch.write(`${name}.scales`, 'F32', [rows, groups], fromFloat32('F32', scales)),
    };
    return { ...linear, weight };
  }
}

/** Whether an expert is made of separate bfloat16 matrices and gets no other bits than 4, 8 and 16. */
export function packsStored({ network, bits }: StoredExpert, groups: ProjectionGroups): boolean {
  if (network.layout === 'fused-gated' || groups.up % 2 === 1 || groups.down % 2 === 1) {
    return false;
  }
  const linears = network.layout === 'gated' ? [network.gate, network.up, network.down] : [network.up, network.down];
  const widths = [bits.gate, bits.up, bits.down].slice(-linears.length);
  return linears.every(isStoredBfloat16) && widths.every((width) => [4, 8, 16].includes(width));
}

function isStoredBfloat16({ weight, orientation }: LinearSpec): boolean {
  return weight.storage === 'plain' && weight.entry.dtype === 'BF16' && orientation === 'output-major';
}

/** Projections that are not left as they are. */
function roundedProjections({ network, bits }: StoredExpert): [Projection, LinearSpec][] {
  return projections.flatMap((projection): [Projection, LinearSpec][] => {
    const linear =
      projection === 'down'
        ? network.down
        : projection === 'up'
          ? upOf(network)
          : network.layout === 'gated'
            ? network.gate
            : undefined;
    return linear === undefined || bits[projection] === 16 ? [] : [[projection, linear]];
  });
}

function upOf(network: FeedForwardSpec): LinearSpec {
  if (network.layout === 'fused-gated') {
    throw new TunerError('internal', 'Gate and up in one matrix are not rounded from their stored bytes.');
  }
  return network.up;
}

function entryOf({ weight }: LinearSpec): TensorEntry {
  if (weight.storage !== 'plain') {
    throw new TunerError('internal', 'Only plain weights are rounded from their stored bytes.');
  }
  return weight.entry;
}
