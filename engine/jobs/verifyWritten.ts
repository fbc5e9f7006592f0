import { open } from 'node:fs/promises';
import { fillFromFile } from '../checkpoint/readTensor';
import type { TensorEntry } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import type { RewrittenModel } from '../transform/rewriteModel';
import { byteLengthOf, type RewrittenTensor, type StoredPiece } from '../transform/tensorRewrite';
import { trainedActiveExperts } from './activeExperts';
import { openModel, type OpenModel } from './openModel';

/** Copied pieces of which the first bytes are compared, spread over the checkpoint. */
const comparedPieces = 256;
const comparedBytes = 4096;

/** What a written folder must turn out to be. */
export interface ExpectedCheckpoint {
  readonly activeExperts: readonly number[];
  /** Experts of every MoE layer. */
  readonly experts: readonly number[];
  /** Fingerprint of the weights where they are those of the checkpoint; else how they were put together. */
  readonly weights: string | RewrittenModel;
}

/**
 * Opens a written folder as any other command would, and compares what its headers, its config and samples of its bytes say with what
 * was to be written.
 * @returns the opened model
 * @throws TunerError `writeFailed`
 */
export async function verifyWritten(folder: string, expected: ExpectedCheckpoint): Promise<OpenModel> {
  const written = await openModel(folder);
  const { activeExperts, experts, weights } = expected;
  const active = trainedActiveExperts(written);
  const counts = written.resolved.blocks.map((block) => block.experts.length);
  refuseIf(folder, !sameNumbers(active, activeExperts), () => {
    return `its config says ${active.join(', ')} active experts instead of ${activeExperts.join(', ')}`;
  });
  refuseIf(folder, !sameNumbers(counts, experts), () => {
    return `it has ${counts.join(', ')} experts instead of ${experts.join(', ')}`;
  });
  if (typeof weights === 'string') {
    refuseIf(folder, written.fingerprint !== weights, () => 'its weights are not those of the checkpoint');
  } else {
    await compareTensors(folder, written.checkpoint.tensors, weights.tensors);
  }
  return written;
}

async function compareTensors(
  folder: string,
  written: ReadonlyMap<string, TensorEntry>,
  expected: readonly RewrittenTensor[],
): Promise<void> {
  refuseIf(folder, written.size !== expected.length, () => {
    return `it has ${written.size} tensors instead of ${expected.length}`;
  });
  for (const { name, dtype, shape, pieces } of expected) {
    const entry = written.get(name);
    refuseIf(folder, entry === undefined, () => `it lacks ${name}`);
    const fits = entry?.dtype === dtype && sameNumbers(entry.shape, shape) && entry.byteLength === byteLengthOf(pieces);
    refuseIf(folder, !fits, () => `${name} is ${entry?.dtype} [${entry?.shape.join(', ')}]`);
  }
  const copies = expected.flatMap(({ name, pieces }) => {
    let start = 0;
    return pieces.flatMap((piece) => {
      const at = start;
      start += piece.byteLength;
      return piece.kind === 'stored' ? [{ name, at, piece }] : [];
    });
  });
  const step = Math.max(1, Math.floor(copies.length / comparedPieces));
  for (let at = 0; at < copies.length; at += step) {
    const { name, at: start, piece } = copies[at]!;
    const entry = written.get(name)!;
    const same = await sameBytes(piece, { ...piece, file: entry.file, byteOffset: entry.byteOffset + start });
    refuseIf(folder, !same, () => `its bytes of ${name} are not those of the checkpoint`);
  }
}

async function sameBytes(left: StoredPiece, right: StoredPiece): Promise<boolean> {
  return Buffer.compare(await sample(left), await sample(right)) === 0;
}

async function sample({ file, byteOffset, byteLength }: StoredPiece): Promise<Buffer> {
  const bytes = Buffer.alloc(Math.min(comparedBytes, byteLength));
  const handle = await open(file, 'r');
  try {
    await fillFromFile(handle, bytes, byteOffset, file, 'sample');
  } finally {
    await handle.close();
  }
  return bytes;
}

function sameNumbers(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((value, at) => value === right[at]);
}

/** @throws TunerError `writeFailed` where a written checkpoint is not what it should be */
export function refuseIf(folder: string, wrong: boolean, problem: () => string): void {
  if (wrong) {
    throw new TunerError('writeFailed', `The written checkpoint was not accepted: ${problem()}.`, {
      file: folder,
      wayOut: 'Check the config of the original checkpoint for contradictions, and report this if it has none.',
    });
  }
}
