import { createHash } from 'node:crypto';
import path from 'node:path';
import type { ResolvedModel } from '../families/resolveModel';
import { tunedActiveExpertsKey } from '../families/tunedActiveExperts';
import type { Delivery, TargetName } from '../protocol/apply';
import type { Plan } from '../protocol/plan';
import { engineVersion } from '../version';
import { layerLists, routerAttributes, transformersRouters } from './transformersRouters';

/** File name of the record that lies beside every artefact. */
export const tuneFileName = 'moe_tune.json';

/** What was applied to what. */
export interface Provenance {
  readonly resolved: ResolvedModel;
  readonly fingerprint: string;
  readonly plan: Plan;
  readonly target: TargetName;
  readonly delivery: Delivery;
  /** One number per MoE layer in order. */
  readonly activeExperts: readonly number[];
  /** What became of the weights; absent where they are those of the checkpoint. */
  readonly changes?: WeightChanges | undefined;
}

/** How the weights of an artefact differ from those of the checkpoint. */
export interface WeightChanges {
  /** Numbers that the experts of every MoE layer had in the checkpoint, in their new order. */
  readonly experts: readonly (readonly number[])[];
  /** SHA-256 of the plan's decisions and the fingerprint of the checkpoint. */
  readonly identity: string;
  /** Whether weights were computed; otherwise all bytes are the checkpoint's. */
  readonly computed: boolean;
  /** Next-token-prediction tensors that were left out. */
  readonly removedPrediction: number;
}

/** Identity of what a plan does to the weights of a checkpoint. */
export function changeIdentity({ prune, merge, quantize, gates }: Plan, fingerprint: string): string {
  return createHash('sha256')
    .update(JSON.stringify([fingerprint, prune, merge, quantize, gates]))
    .digest('hex');
}

/**
 * Text of `moe_tune.json`: the plan, the checkpoint it was applied to, and active experts by decoder layer; with places in the
 * Transformers model where the generated loader needs them. The same plan and checkpoint give the same text.
 * @param writtenFingerprint of the weights of the artefact, where they are not those of the checkpoint
 */
export function tuneFileText(provenance: Provenance, writtenFingerprint?: string): string {
  const { resolved, fingerprint, plan, target, delivery, activeExperts, changes } = provenance;
  const { record, checkpoint, config } = resolved.recognised;
  const byLayer = <Value>(values: readonly Value[]) =>
    Object.fromEntries(resolved.blocks.map(({ layer }, at) => [String(layer), values[at]!]));
  const nested = config.pathOf('') !== '';
  const loads = target === 'huggingface' && delivery === 'loader';
  const tune = {
    format: 1,
    generator: `moe-tuner ${engineVersion}`,
    checkpoint: path.basename(checkpoint.folder),
    family: record.name,
    fingerprint,
    target,
    delivery,
    activeExperts: byLayer(activeExperts),
    originalActiveExperts: byLayer(resolved.blocks.map((block) => block.activeExperts)),
    configKey: delivery === 'loader' ? tunedActiveExpertsKey : resolved.configKeys.activeExperts,
    ...(loads
      ? {
          transformers: {
            layers: layerLists,
            routers: transformersRouters[record.name] ?? [],
            attributes: routerAttributes,
            autoClass: nested ? 'AutoModelForImageTextToText' : 'AutoModelForCausalLM',
          },
        }
      : {}),
    ...(changes === undefined
      ? {}
      : {
          changes: {
            identity: changes.identity,
            computed: changes.computed,
            removedPredictionTensors: changes.removedPrediction,
            originalExperts: byLayer(changes.experts),
            writtenFingerprint,
          },
        }),
    // The schema is a path beside the plan file, which means nothing here.
    plan: { ...plan, $schema: undefined },
  };
  // Lists of numbers on one line; a line break cannot be part of a text.
  const text = JSON.stringify(tune, undefined, 2).replace(/\[\n[\s\d,.eE+-]*\]/g, (list) =>
    list.replace(/\s+/g, ' ').replace('[ ', '[').replace(' ]', ']'),
  );
  return `${text}\n`;
}
