import { sliceTensor } from '../checkpoint/readTensor';
import { dtypeBytes, type TensorEntry } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import type { ExpertLayout } from './familyRecord';
import type { FeedForwardSpec, LinearSpec, WeightSource } from './specification';
import type { WeightLookup } from './weightLookup';

/** What every layout needs to know about the layer it is resolved for. */
interface LayerFacts {
  readonly stem: string;
  readonly hiddenSize: number;
  readonly experts: number;
}

/**
 * The routed experts of one layer from whichever of the family's layouts the checkpoint uses.
 * @throws TunerError `missingTensor`, `contradictoryConfig`
 */
export function resolveExperts(
  weights: WeightLookup,
  layouts: readonly ExpertLayout[],
  layer: LayerFacts,
): readonly FeedForwardSpec[] {
  const layout = layouts.find((candidate) => weights.find(firstTensor(candidate, layer.stem)) !== undefined);
  return resolveLayout(weights, layout ?? layouts[0]!, layer);
}

/** Name of a tensor that exists exactly when a checkpoint uses this layout. */
function firstTensor(layout: ExpertLayout, stem: string): string {
  switch (layout.layout) {
    case 'separate':
    case 'separate-ungated':
      return `${stem}${layout.up.replace('{expert}', '0')}.weight`;
    case 'fused':
      return stem + layout.gateUp;
    case 'fused-mxfp4':
      return `${stem}${layout.gateUp}_blocks`;
    case 'stacked':
    case 'row-blocks':
      return stem + layout.up;
  }
}

function resolveLayout(weights: WeightLookup, layout: ExpertLayout, layer: LayerFacts): readonly FeedForwardSpec[] {
  const each = (make: (expert: number) => FeedForwardSpec) => Array.from({ length: layer.experts }, (_, e) => make(e));
  switch (layout.layout) {
    case 'separate': {
      refuseSurplusExperts(weights, `${layer.stem}${layout.up}.weight`, layer.experts);
      return each((expert) => {
        const named = (name: string) => name.replace('{expert}', String(expert));
        return weights.network(
          layer.stem,
          { layout: 'gated', gate: named(layout.gate), up: named(layout.up), down: named(layout.down) },
          layer.hiddenSize,
        );
      });
    }
    case 'separate-ungated': {
      refuseSurplusExperts(weights, `${layer.stem}${layout.up}.weight`, layer.experts);
      return each((expert) => {
        const named = (name: string) => name.replace('{expert}', String(expert));
        return weights.network(
          layer.stem,
          { layout: 'ungated', up: named(layout.up), down: named(layout.down) },
          layer.hiddenSize,
        );
      });
    }
    case 'fused':
      return fusedExperts(weights, layout, layer);
    case 'fused-mxfp4':
      return mxfp4Experts(weights, layout, layer);
    case 'stacked': {
      const stacks = [layout.gate, layout.up, layout.down].map((name) => weights.tensor(layer.stem + name));
      stacks.forEach((stack) => checkExpertAxis(weights, stack, layer.experts));
      const [gate, up, down] = stacks as [TensorEntry, TensorEntry, TensorEntry];
      return each((expert) => ({
        layout: 'gated',
        gate: slab(weights, gate, expert, 'output-major'),
        up: slab(weights, up, expert, 'output-major'),
        down: slab(weights, down, expert, 'output-major'),
      }));
    }
    case 'row-blocks': {
      const tensor = (name: string) => weights.tensor(layer.stem + name);
      const rows = (entry: TensorEntry, expert: number, orientation: LinearSpec['orientation']) => {
        const width = entry.shape[0]! / layer.experts;
        if (entry.shape.length !== 2 || entry.shape[1] !== layer.hiddenSize || !Number.isInteger(width)) {
          throw weights.wrongShape(entry, [undefined, layer.hiddenSize]);
        }
        return slab(weights, { ...entry, shape: [layer.experts, width, layer.hiddenSize] }, expert, orientation);
      };
      const [gate, up, down] = [tensor(layout.gate), tensor(layout.up), tensor(layout.down)];
      return each((expert) => ({
        layout: 'gated',
        gate: rows(gate, expert, 'output-major'),
        up: rows(up, expert, 'output-major'),
        down: rows(down, expert, 'input-major'),
      }));
    }
  }
}

function fusedExperts(
  weights: WeightLookup,
  layout: Extract<ExpertLayout, { layout: 'fused' }>,
  layer: LayerFacts,
): readonly FeedForwardSpec[] {
  const gateUp = weights.tensor(layer.stem + layout.gateUp);
  const down = weights.tensor(layer.stem + layout.down);
  checkExpertAxis(weights, gateUp, layer.experts);
  checkExpertAxis(weights, down, layer.experts);
  const [, rows, columns] = gateUp.shape as [number, number, number];
  const fits = { 'output-major': columns === layer.hiddenSize, 'input-major': rows === layer.hiddenSize };
  if (!fits['output-major'] && !fits['input-major']) {
    throw weights.wrongShape(gateUp, [layer.experts, undefined, layer.hiddenSize]);
  }
  const ambiguous = fits['output-major'] && fits['input-major'];
  const orientation = ambiguous ? layout.orientation : fits['output-major'] ? 'output-major' : 'input-major';
  const width = (orientation === 'output-major' ? rows : columns) / 2;
  const expectedDown = orientation === 'output-major' ? [layer.hiddenSize, width] : [width, layer.hiddenSize];
  if (down.shape[1] !== expectedDown[0] || down.shape[2] !== expectedDown[1]) {
    throw weights.wrongShape(down, [layer.experts, ...expectedDown]);
  }
  const bias = (name: string | undefined, size: number, expert: number) =>
    name === undefined || weights.find(layer.stem + name) === undefined
      ? undefined
      : biasRow(weights.shaped(layer.stem + name, [layer.experts, size]), expert);
  return Array.from({ length: layer.experts }, (_, expert) => ({
    layout: 'fused-gated' as const,
    gateUp: { ...slab(weights, gateUp, expert, orientation), bias: bias(layout.gateUpBias, 2 * width, expert) },
    arrangement: layout.arrangement,
    down: { ...slab(weights, down, expert, orientation), bias: bias(layout.downBias, layer.hiddenSize, expert) },
  }));
}

function mxfp4Experts(
  weights: WeightLookup,
  layout: Extract<ExpertLayout, { layout: 'fused-mxfp4' }>,
  layer: LayerFacts,
): readonly FeedForwardSpec[] {
  const linear = (name: string, biasName: string | undefined, expert: number): LinearSpec => {
    const blocks = weights.tensor(`${layer.stem}${name}_blocks`);
    const scales = weights.tensor(`${layer.stem}${name}_scales`);
    checkExpertAxis(weights, blocks, layer.experts);
    checkExpertAxis(weights, scales, layer.experts);
    const [, rows, groups] = blocks.shape as [number, number, number, number];
    if (blocks.shape.length !== 4 || blocks.shape[3] !== 16) {
      throw weights.wrongShape(blocks, [layer.experts, rows, groups, 16]);
    }
    const biasTensor = biasName === undefined ? undefined : weights.find(layer.stem + biasName);
    return {
      weight: { storage: 'mxfp4', blocks: part(blocks, expert), scales: part(scales, expert) },
      orientation: 'output-major',
      inputSize: groups * 32,
      outputSize: rows,
      bias: biasTensor === undefined ? undefined : biasRow(biasTensor, expert),
    };
  };
  return Array.from({ length: layer.experts }, (_, expert) => ({
    layout: 'fused-gated' as const,
    gateUp: linear(layout.gateUp, layout.gateUpBias, expert),
    arrangement: 'interleaved' as const,
    down: linear(layout.down, layout.downBias, expert),
  }));
}

function checkExpertAxis(weights: WeightLookup, entry: TensorEntry, experts: number): void {
  if (entry.shape.length < 3 || entry.shape[0] !== experts) {
    throw weights.wrongShape(entry, [experts, ...entry.shape.slice(1)]);
  }
}

/** The matrix of one expert inside a stacked tensor: a byte range, no copy. */
function slab(
  weights: WeightLookup,
  entry: TensorEntry,
  expert: number,
  orientation: LinearSpec['orientation'],
): LinearSpec {
  const matrix = part(entry, expert);
  const [rows, columns] = matrix.shape as [number, number];
  const [outputSize, inputSize] = orientation === 'output-major' ? [rows, columns] : [columns, rows];
  const whole = weights.source(entry, matrix.shape);
  const weight: WeightSource =
    whole.storage === 'fp8-block'
      ? { ...whole, entry: matrix, scale: part(whole.scale, expert) }
      : { storage: 'plain', entry: matrix };
  return { weight, orientation, inputSize, outputSize };
}

function biasRow(entry: TensorEntry, expert: number): TensorEntry {
  return part(entry, expert);
}

function part(entry: TensorEntry, expert: number): TensorEntry {
  const shape = entry.shape.slice(1);
  const bytes = shape.reduce((product, size) => product * size, dtypeBytes[entry.dtype]);
  return sliceTensor(entry, `${entry.name}[${expert}]`, expert * bytes, shape);
}

/** An expert beyond the configured count means that config and weights disagree. */
function refuseSurplusExperts(weights: WeightLookup, pattern: string, experts: number): void {
  const surplus = weights.find(pattern.replace('{expert}', String(experts)));
  if (surplus !== undefined) {
    throw new TunerError(
      'contradictoryConfig',
      `The config says ${experts} experts, but the checkpoint has a tensor of expert ${experts}.`,
      {
        file: surplus.file,
        place: surplus.name,
        wayOut: 'Set the expert count in config.json to the number of experts in the tensors.',
      },
    );
  }
}
