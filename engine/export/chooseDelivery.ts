import { TunerError } from '../protocol/errors';
import { targetNames, type Delivery, type TargetName } from '../protocol/apply';
import { exportTargets, perLayerSupport } from './targets';

/** A plan as a target sees it. */
export interface DeliveryRequest {
  readonly target: TargetName;
  /** Family name and title. */
  readonly family: { readonly name: string; readonly title: string };
  /** Active experts, one number per MoE layer in order. */
  readonly activeExperts: readonly number[];
  /** Dotted path of the config key with the number. */
  readonly configKey: string;
}

/** How a plan reaches a target. */
export interface ChosenDelivery {
  readonly delivery: Delivery;
  readonly artefact: 'checkpoint' | 'arguments';
  /** One sentence for a person. */
  readonly explanation: string;
}

/**
 * Decides, before anything is written, how a target takes the active experts of a plan.
 * @throws TunerError `unsupportedFeature` with the reason where it cannot
 */
export function chooseDelivery(request: DeliveryRequest): ChosenDelivery {
  const { target, family, activeExperts, configKey } = request;
  const { title, uniform } = exportTargets[target];
  const support = perLayerSupport(target, family.name);
  if (support.kind === 'nothing') {
    throw refusal(request, support.reason);
  }
  const same = activeExperts.every((k) => k === activeExperts[0]);
  if (same && target === 'sglang' && configKey.includes('.')) {
    throw refusal(
      request,
      `its override replaces whole objects of the config, and the number is inside one (${configKey})`,
    );
  }
  if (same) {
    const means = uniform === 'checkpoint' ? 'from the config' : 'from the command line';
    return {
      delivery: 'scalar',
      artefact: uniform,
      explanation: `All MoE layers have ${activeExperts[0]} active experts: ${title} takes the number ${means}, without added code.`,
    };
  }
  if (support.kind === 'uniform') {
    throw refusal(request, support.reason);
  }
  return {
    delivery: support.kind,
    artefact: 'checkpoint',
    explanation:
      support.kind === 'list'
        ? `${title} reads one number per layer from the config of ${family.title}, without added code.`
        : `${title} reads one number for all layers; generated code that is written beside the checkpoint sets one per layer.`,
  };
}

function refusal({ target, family, activeExperts }: DeliveryRequest, reason: string): TunerError {
  const layers = [...new Set(activeExperts)].length > 1 ? 'different numbers of active experts per layer' : 'this plan';
  const others = targetNames.filter((name) => {
    const { kind } = perLayerSupport(name, family.name);
    return name !== target && (kind === 'list' || kind === 'loader');
  });
  const wayOut =
    others.length > 0
      ? `Targets that take one number per layer for this family: ${others.join(', ')}.`
      : 'No target takes different numbers per layer for this family; make a plan with the same number in all layers.';
  return new TunerError(
    'unsupportedFeature',
    `${exportTargets[target].title} cannot load ${layers} of ${family.title}: ${reason}.`,
    { place: '--target', wayOut },
  );
}
