import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { MoeBlockSpec } from '../families/specification';
import { VariantMeter } from '../measure/variantMeter';
import type { JobContext } from '../measure/jobContext';
import { batchSequences } from '../measure/sequenceBatches';
import { allBits, bitsArithmetic, storedBits } from '../methods/quantize/bitSizes';
import type { ProjectionGroups } from '../methods/quantize/projectionGroups';
import { quantizers, type QuantizerName } from '../methods/quantize/quantizers';
import { TunerError } from '../protocol/errors';
import { planSchema, type Plan, type PlanQuantize } from '../protocol/plan';
import type { QuantizeParams, QuantizeResult } from '../protocol/quantization';
import type { RuntimeOptions } from '../runtime/session';
import { shortestBits } from '../transform/quantizeBits';
import {
  assertSharedGroups,
  otherWeights,
  roundOthers,
  roundShared,
  type ChangeDecoder,
} from '../transform/quantizeOthers';
import { roundedWeightsKey, writeRoundedWeights } from '../transform/roundedWeightsFile';
import { ScratchWeights } from '../transform/scratchWeights';
import { withBlocks } from '../transform/transformModel';
import { attentionHeads } from './evaluate';
import { openModel, type OpenModel } from './openModel';
import { updatePlan } from './planFile';
import { openBasePlan, type BasePlan } from './quantizeBase';
import { allocate, allocationShare, bitTotalsOf, type Allocation, type AllocationRun } from './quantizeAllocation';
import { firstGroups, groupChoices } from './quantizeGroups';
import { assertCovered, coverageNote } from './quantizeCoverage';
import { originalBytes, quantizedLayer } from './quantizeReport';
import { roundBlocks, type RoundedBlocks } from './quantizeRounding';
import { quantizeText, type QuantizeText } from './quantizeText';
import { runtimeOptions, type EngineServices } from './services';

/** Candidates of "auto" with text, and what it takes without: the one whose squared error is least. */
const automatic = { measured: ['gptq', 'eaquant'], dataFree: 'hqq' } as const;

/** Everything that rounding needs, prepared once. */
interface QuantizeRun extends AllocationRun {
  /** Rounds the shared experts of a block, where the scope asks for it. */
  readonly sharedOf: (block: MoeBlockSpec) => Promise<MoeBlockSpec>;
  /** Rounds what is not an expert, where the scope asks for it. */
  readonly others: ChangeDecoder;
}

/**
 * Chooses bits for the routed experts, uniform or by a budget, rounds them, measures the result on held-out text and writes the plan
 * section. Rounded weights of calibrated methods go into a file beside the plan.
 * @throws TunerError `usage`, `infeasibleBudget`, `malformedPlan`, `planForAnotherCheckpoint`, `writeFailed`, `cancelled`, …
 */
export async function quantize(
  params: QuantizeParams,
  services: EngineServices,
  job: JobContext,
): Promise<QuantizeResult> {
  const start = performance.now();
  assertRequest(params);
  const model = await openModel(params.checkpoint);
  const out = params.out === undefined ? undefined : path.resolve(params.out);
  if (out !== undefined) {
    await assertFolder(path.dirname(out));
  }
  const base = await openBasePlan(model, out, job);
  const scratch = new ScratchWeights();
  let meter: VariantMeter | undefined;
  try {
    const choices = groupChoices(params, base.blocks);
    const groups = firstGroups(choices);
    const runtime = await runtimeOptions(services, job);
    const text = params.text.length > 0 ? await quantizeText(model, params) : undefined;
    const decoder = withBlocks(model.resolved.decoder(), base.blocks);
    const outside = otherPlan(params, groups.gate);
    const context = { scratch, job, planFile: out ?? '--group' };
    assertSharedGroups(base.blocks, outside, context.planFile);
    const others = await roundOthers(decoder, outside, context);
    meter = text === undefined ? undefined : await openMeter(decoder, text, runtime, job);
    const first: QuantizeRun = {
      params,
      model: decoder,
      blocks: base.blocks,
      choices,
      groups,
      symmetric: params.symmetric,
      smoothing: params.smoothing,
      scratch,
      runtime,
      job,
      text,
      meter,
      others,
      sharedOf: (block) => roundShared(block, outside, context),
    };
    const allocation = await allocate(first);
    const run = { ...first, groups: allocation.groups };
    const rounded = await bestRounding(run, allocation.bits);
    assertCovered(rounded.uncovered, run.blocks);
    const result = await report(run, model, allocation, rounded);
    const weak = coverageNote(result.layers);
    if (weak !== undefined) {
      job.log('warn', weak);
    }
    if (out !== undefined) {
      await writeSection(out, run, model, base, { ...allocation, ...rounded }, result.effectiveBits);
    }
    const finished: QuantizeResult = {
      ...result,
      ...(out === undefined ? {} : { plan: out }),
      seconds: (performance.now() - start) / 1000,
      finished: new Date().toISOString(),
    };
    await services.cache.addResult(model.resultsKey, 'quantization', finished);
    return finished;
  } finally {
    await meter?.dispose();
    await scratch.dispose();
    await base.dispose();
  }
}

/** Bits outside the experts: those of the experts where they are uniform; a budget is spent on experts, and the rest has 8. */
function otherBits({ scope, bits }: QuantizeParams): number | undefined {
  return scope === 'all' ? (bits ?? 8) : undefined;
}

function otherPlan(params: QuantizeParams, group: number): Plan {
  const { symmetric, scope, seed } = params;
  const section = { method: 'rtn', group, symmetric, scope, layers: [16], others: otherBits(params), seed };
  return planSchema.parse({ quantize: section });
}

function assertRequest({
  bits,
  averageBits,
  effectiveBits,
  maximumBytes,
  method,
  smoothing,
  text,
}: QuantizeParams): void {
  const given = [bits, averageBits, effectiveBits, maximumBytes].filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw new TunerError('usage', 'Give exactly one of bits, average bits, effective bits and bytes.', {
      place: '--bits, --average-bits, --effective-bits, --max-bytes',
      wayOut: 'For example --bits 4, or --average-bits 3.5.',
    });
  }
  if (smoothing !== undefined && (text.length === 0 || (method !== 'auto' && quantizers[method].needs !== 'moments'))) {
    throw new TunerError('usage', 'Inputs are smoothed by what calibration text shows of them.', {
      place: '--smoothing',
      wayOut: 'Give text with --text, and one of the methods gptq, awq, eaquant and auto.',
    });
  }
  if (method !== 'auto' && quantizers[method].needs === 'moments' && text.length === 0) {
    throw new TunerError('usage', `The quantizer "${method}" calibrates on text, and none was given.`, {
      place: '--text',
      wayOut: 'Give text files with --text, or choose rtn or hqq, which look at weights alone.',
    });
  }
}

/** A run may take long: what it could not write is said before it. */
async function assertFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory() !== true) {
    throw new TunerError('usage', 'The folder for the plan does not exist.', {
      file: folder,
      place: '--out',
      wayOut: 'Create the folder first.',
    });
  }
}

function openMeter(
  decoder: QuantizeRun['model'],
  { held }: QuantizeText,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<VariantMeter> {
  const batches = batchSequences(held, attentionHeads(decoder));
  return VariantMeter.open({ model: decoder, runtime, batches, sequences: held, job });
}

interface Chosen extends RoundedBlocks {
  readonly name: QuantizerName;
  readonly candidates: QuantizeResult['candidates'];
  readonly quality?: { readonly kl: number; readonly logPerplexity: number } | undefined;
}

/** Rounds with the method asked for, or with the one of "auto" that measures best. */
async function bestRounding(run: QuantizeRun, bits: Allocation['bits']): Promise<Chosen> {
  const { params, text, meter } = run;
  const names: readonly QuantizerName[] =
    params.method !== 'auto' ? [params.method] : text === undefined ? [automatic.dataFree] : automatic.measured;
  const candidates: QuantizeResult['candidates'] = [];
  let best: Chosen | undefined;
  for (const [at, name] of names.entries()) {
    const from = params.bits === undefined ? allocationShare : 0;
    const share = (1 - from) / names.length;
    const progress = [from + share * at, from + share * (at + 1)] as const;
    const experts = await roundBlocks(run, name, bits, text?.calibration, progress);
    const rounded = { ...experts, blocks: await inOrder(experts.blocks, run.sharedOf) };
    const quality = await meter?.measure(withBlocks(run.others(run.model), rounded.blocks).layers);
    if (quality !== undefined) {
      candidates.push({ method: name, kl: quality.kl });
    }
    if (best === undefined || (quality?.kl ?? 0) < (best.quality?.kl ?? 0)) {
      best = { ...rounded, name, candidates, quality };
    }
  }
  return best!;
}

/** One after the other: writes into one temporary file must not overlap. */
async function inOrder<Item>(items: readonly Item[], change: (item: Item) => Promise<Item>): Promise<Item[]> {
  const changed: Item[] = [];
  for (const item of items) {
    changed.push(await change(item));
  }
  return changed;
}

async function report(
  run: QuantizeRun,
  model: OpenModel,
  { bits, allocations }: Allocation,
  { blocks, uncovered, unrounded, smoothing, name, candidates, quality }: Chosen,
): Promise<QuantizeResult> {
  const { params, groups, symmetric, text } = run;
  const layers: QuantizeResult['layers'] = [];
  for (const [at, block] of run.blocks.entries()) {
    layers.push(await quantizedLayer(unrounded[at] ?? block, blocks[at]!, bits[at]!, run, uncovered[at] ?? []));
  }
  const totals = bitTotalsOf(run, bits);
  const before = run.blocks.reduce((sum, block, at) => sum + originalBytes(block, bits[at]!), 0);
  const bytes = Math.ceil(allBits(totals) / 8);
  const averageBits = totals.codeBits / totals.weights;
  const outside = params.scope === 'all' ? otherWeights(run.model) : { weights: 0, bytes: 0 };
  const outsideBits = storedBits({
    weights: outside.weights,
    bits: otherBits(params) ?? 16,
    group: groups.gate,
    symmetric,
  });
  return {
    checkpoint: model.checkpoint.folder,
    fingerprint: model.fingerprint,
    method: name,
    requestedMethod: params.method,
    group: groups.gate,
    ...differing(groups),
    symmetric,
    scope: params.scope,
    ...(smoothing.length === 0 ? {} : { smoothing: params.smoothing }),
    averageBits,
    effectiveBits: allBits(totals) / totals.weights,
    arithmetic: bitsArithmetic(totals),
    bytes,
    originalBytes: before,
    checkpointBytes:
      model.checkpoint.bytes - before + bytes - outside.bytes + Math.ceil(outside.weights === 0 ? 0 : outsideBits / 8),
    layers,
    allocations,
    candidates,
    ...(quality === undefined ? {} : { kl: quality.kl, perplexity: Math.exp(quality.logPerplexity) }),
    ...(text === undefined ? {} : { calibrationTokens: text.tokens }),
    notes: notesOf(params, name, layers, allocations, text),
    seed: params.seed,
    seconds: 0,
  };
}

function notesOf(
  params: QuantizeParams,
  name: QuantizerName,
  layers: QuantizeResult['layers'],
  allocations: QuantizeResult['allocations'],
  text: QuantizeText | undefined,
): string[] {
  const notes: string[] = [];
  if (params.scope === 'all') {
    notes.push(
      `Attention, dense layers and shared experts are rounded to nearest at ${otherBits(params)} bits; bytes and effective bits are those of the routed experts. Routers, norms, embeddings and the head stay.`,
    );
  }
  if (params.method === 'auto' && text === undefined) {
    notes.push(`No calibration text was given, so nothing was measured: the data-free method "${name}" rounded.`);
  }
  const weak = coverageNote(layers);
  if (weak !== undefined) {
    notes.push(weak);
  }
  const expert = allocations.find(({ granularity }) => granularity === 'expert');
  const fused = allocations.find(({ granularity }) => granularity === 'projection');
  if (params.granularity === 'expert' && expert !== undefined && fused !== undefined) {
    notes.push(
      `No runtime with fused experts loads bits per expert; per projection the predicted loss is ${fused.predicted.toPrecision(3)} instead of ${expert.predicted.toPrecision(3)}.`,
    );
  }
  return notes;
}

/** Writes the rounded weights of a calibrated method first, then the plan that names them. */
async function writeSection(
  out: string,
  run: QuantizeRun,
  model: OpenModel,
  base: BasePlan,
  { bits, blocks, smoothing, name }: Allocation & Chosen,
  effectiveBits: number,
): Promise<void> {
  const { params, groups, symmetric, text } = run;
  const { resolved, checkpoint, fingerprint } = model;
  const calibrated = quantizers[name].needs === 'moments';
  const weights = `${path.basename(out).replace(/(\.moeplan)?\.json$/, '')}.weights.safetensors`;
  const section: PlanQuantize = {
    method: name,
    group: groups.gate,
    ...differing(groups),
    symmetric,
    scope: params.scope,
    layers: shortestBits(bits),
    ...(params.scope === 'all' ? { others: otherBits(params) } : {}),
    effectiveBits: Number(effectiveBits.toFixed(6)),
    ...(calibrated
      ? { options: { weights, ...(smoothing.length === 0 ? {} : { smoothing: params.smoothing! }) } }
      : {}),
    ...(text === undefined ? {} : { calibrationTokens: text.tokens }),
    seed: params.seed,
  };
  const source = {
    checkpoint: path.basename(checkpoint.folder),
    family: resolved.recognised.record.name,
    fingerprint,
    experts: resolved.experts,
    activeExperts: resolved.activeExperts,
  };
  if (calibrated) {
    const plan: Plan = { ...base.plan, source, quantize: section };
    await writeRoundedWeights(
      path.join(path.dirname(out), weights),
      blocks.map(({ experts }) => experts),
      run.blocks,
      roundedWeightsKey(plan),
      smoothing,
    );
  }
  await updatePlan(out, { source, quantize: section });
}

/** The part of a plan that names groups of single projections. */
function differing({ gate, down }: ProjectionGroups): Pick<PlanQuantize, 'groups'> {
  return gate === down ? {} : { groups: { down } };
}
