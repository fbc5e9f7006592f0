import path from 'node:path';
import { loadTokenizer, type CheckpointTokenizer } from '../checkpoint/tokenizer';
import { TokenPieces } from '../checkpoint/tokenPieces';
import type { ModelSpec } from '../families/specification';
import type { JobContext } from '../measure/jobContext';
import { RoutedGeneration } from '../measure/routedGeneration';
import { TunerError } from '../protocol/errors';
import type { GeneratedToken, GeneratedVariant, GenerateParams, GenerateResult } from '../protocol/generation';
import type { RuntimeOptions } from '../runtime/session';
import { trainedActiveExperts } from './activeExperts';
import { checkpointExperts } from './checkpointExperts';
import { longestSequence } from './longestSequence';
import { openModel, type OpenModel } from './openModel';
import { openPlannedModel, type PlannedModel } from './plannedModel';
import type { EngineServices } from './services';

/** One of the models that generate side by side. */
interface Writer {
  readonly name: GeneratedVariant['name'];
  readonly activeExperts: readonly number[];
  readonly generation: RoutedGeneration;
  /** Ids in the checkpoint of the experts of every MoE layer. */
  readonly expertIds: readonly (readonly number[])[];
  readonly pieces: TokenPieces | undefined;
  readonly tokens: GeneratedToken[];
  ended: GeneratedVariant['ended'] | undefined;
}

/**
 * Goes on from a prompt with the model as it was trained and with the model as a plan leaves it, token by token in turns, and tells
 * which experts the run that chose each token used. Stopped by the person, it gives what there is so far.
 * @throws TunerError `usage`, `missingTokenizer`, `unsupportedFeature`, `malformedPlan`, `planForAnotherCheckpoint`, `runtimeFailed`
 */
export async function generate(
  params: GenerateParams,
  services: EngineServices,
  job: JobContext,
): Promise<GenerateResult> {
  const start = performance.now();
  const model = await openModel(params.checkpoint);
  const { resolved, fingerprint, checkpoint } = model;
  const decoder = resolved.decoder();
  const tokenizer = await tokenizerFor(model, params);
  const prompt = promptIds(params, tokenizer, decoder);
  assertFits(params, prompt.length, model);
  const { runtime, notes } = await processorRuntime(services, job);
  const planned = await openPlannedModel(model, params, job);
  const writers: Writer[] = [];
  try {
    const open = async (name: Writer['name'], spec: ModelSpec, own: Pick<PlannedModel, 'blocks' | 'activeExperts'>) => {
      const { temperature, seed } = params;
      const { activeExperts } = own;
      const generation = await RoutedGeneration.open({
        model: spec,
        activeExperts,
        prompt,
        temperature,
        seed,
        runtime,
        job,
      });
      const expertIds = await checkpointExperts(own.blocks, name === 'plan' ? params.plan : undefined);
      const pieces = tokenizer && new TokenPieces(tokenizer);
      writers.push({ name, activeExperts, generation, expertIds, pieces, tokens: [], ended: undefined });
    };
    await open('baseline', decoder, { blocks: resolved.blocks, activeExperts: trainedActiveExperts(model) });
    if (planned.changed) {
      await open('plan', planned.decoder(decoder), planned);
    }
    await write(writers, params.tokens, endTokens(model, tokenizer), job);
    const agreement = agreementOf(writers);
    const asked = params.plan !== undefined || params.activeExperts !== undefined;
    job.progress(1, 'Done');
    return {
      checkpoint: checkpoint.folder,
      fingerprint,
      ...(params.plan === undefined ? {} : { plan: path.resolve(params.plan) }),
      provider: runtime.provider,
      prompt: promptTokens(prompt, tokenizer),
      temperature: params.temperature,
      seed: params.seed,
      layers: resolved.blocks.map(({ layer, experts }) => ({ index: layer, experts: experts.length })),
      variants: writers.map(({ name, activeExperts, tokens, ended }) => ({
        name,
        activeExperts: [...activeExperts],
        text: tokens.map(({ text }) => text).join(''),
        tokens,
        ended: ended ?? 'cancelled',
      })),
      ...(agreement === undefined ? {} : { agreement }),
      notes: [...notes, ...(asked && !planned.changed ? ['The plan leaves the model as it was trained.'] : [])],
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    await Promise.all(writers.map(({ generation }) => generation.dispose()));
    await planned.dispose();
  }
}

/** Lets the models write one token each in turns until all have ended, or the person stops them. */
async function write(
  writers: readonly Writer[],
  most: number,
  ends: ReadonlySet<number>,
  job: JobContext,
): Promise<void> {
  for (let position = 0; position < most; position += 1) {
    for (const writer of writers.filter(({ ended }) => ended === undefined)) {
      if (job.signal.aborted) {
        return;
      }
      const { id, probability, routing } = await writer.generation.token();
      const token = {
        id,
        text: ends.has(id) ? '' : (writer.pieces?.add(id) ?? ''),
        probability,
        experts: routing.map(({ experts }, layer) => experts.map((expert) => writer.expertIds[layer]![expert]!)),
        gates: routing.map(({ gates }) => [...gates]),
      };
      writer.tokens.push(token);
      writer.ended = ends.has(id) ? 'end-of-text' : position + 1 === most ? 'length' : undefined;
      job.generated?.({ variant: writer.name, position, token });
      job.progress((position + 1) / most, `Token ${position + 1} of ${most}`);
    }
  }
}

/** Decoders with a cache compute attention in float32, which ONNX Runtime has on processors only. */
async function processorRuntime(
  { settings, providers }: EngineServices,
  job: JobContext,
): Promise<{ readonly runtime: RuntimeOptions; readonly notes: readonly string[] }> {
  const runtime = { provider: 'cpu', threads: settings.threads };
  const asked = settings.provider;
  if (asked === 'auto' || asked === 'cpu') {
    return { runtime, notes: [] };
  }
  await providers.select(asked);
  const note = `Generation runs on the processor: its attention in float32 does not run with ${asked}.`;
  job.log('warn', note);
  return { runtime, notes: [note] };
}

async function tokenizerFor(
  { checkpoint }: OpenModel,
  { prompt, ids }: GenerateParams,
): Promise<CheckpointTokenizer | undefined> {
  if ((prompt === undefined) === (ids === undefined)) {
    throw new TunerError('usage', 'Give a prompt or token ids, and not both.', {
      place: '--prompt',
      wayOut: 'Give --prompt TEXT or --ids FILE.',
    });
  }
  return prompt === undefined && checkpoint.tokenizerFile === undefined ? undefined : loadTokenizer(checkpoint);
}

/** Tokens of the prompt; those that the tokenizer puts before a text come first. An empty text begins after the separator. */
function promptIds(
  { prompt, ids }: GenerateParams,
  tokenizer: CheckpointTokenizer | undefined,
  { vocabularySize }: ModelSpec,
): readonly number[] {
  const found = ids ?? [...tokenizer!.beginning, ...tokenizer!.encode(prompt!)];
  const separator = tokenizer?.separatorId;
  const tokens = found.length === 0 && separator !== undefined ? [separator] : found;
  const impossible = tokens.find((id) => id >= vocabularySize);
  if (tokens.length === 0 || impossible !== undefined) {
    const reason = impossible === undefined ? 'The prompt is empty.' : `The model has no token ${impossible}.`;
    throw new TunerError('usage', reason, {
      place: ids === undefined ? '--prompt' : '--ids',
      wayOut: impossible === undefined ? 'Give at least one word.' : `Give tokens below ${vocabularySize}.`,
    });
  }
  return tokens;
}

function assertFits({ tokens }: GenerateParams, prompt: number, { resolved }: OpenModel): void {
  const longest = longestSequence(resolved);
  if (prompt + tokens > longest) {
    throw new TunerError('usage', `The model has ${longest} positions, and ${prompt} + ${tokens} were asked for.`, {
      place: '--tokens',
      wayOut: `Use a shorter prompt, or ${Math.max(1, longest - prompt)} tokens at most.`,
    });
  }
}

function endTokens({ resolved }: OpenModel, tokenizer: CheckpointTokenizer | undefined): ReadonlySet<number> {
  const stated = resolved.recognised.config.raw('eos_token_id');
  const ids = [...(Array.isArray(stated) ? (stated as unknown[]) : [stated]), tokenizer?.separatorId];
  return new Set(ids.filter((id) => typeof id === 'number'));
}

function promptTokens(ids: readonly number[], tokenizer: CheckpointTokenizer | undefined): GenerateResult['prompt'] {
  const pieces = tokenizer && new TokenPieces(tokenizer);
  return ids.map((id) => ({ id, text: pieces?.add(id) ?? '' }));
}

function agreementOf(writers: readonly Writer[]): GenerateResult['agreement'] {
  const [left, right] = writers.map(({ tokens }) => tokens.map(({ id }) => id));
  if (left === undefined || right === undefined) {
    return undefined;
  }
  const length = Math.max(left.length, right.length);
  const differs = Array.from({ length }, (_, at) => left[at] !== right[at]);
  const first = differs.indexOf(true);
  const share = length === 0 ? 1 : differs.filter((one) => !one).length / length;
  return { share, ...(first === -1 ? {} : { firstDifference: first }) };
}
