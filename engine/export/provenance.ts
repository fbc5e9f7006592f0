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
}

/**
 * Text of `moe_tune.json`: the plan, the checkpoint it was applied to, and active experts by decoder layer; with places in the
 * Transformers model where the generated loader needs them. The same plan and checkpoint give the same text.
 */
export function tuneFileText({ resolved, fingerprint, plan, target, delivery, activeExperts }: Provenance): string {
  const { record, checkpoint, config } = resolved.recognised;
  const byLayer = (values: readonly number[]) =>
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
    // The schema is a path beside the plan file, which means nothing here.
    plan: { ...plan, $schema: undefined },
  };
  return `${JSON.stringify(tune, undefined, 2)}\n`;
}
