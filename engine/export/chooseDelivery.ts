import { TunerError } from '../protocol/errors';
import { targetNames, type Delivery, type TargetName } from '../protocol/apply';
import { expertCountSupport, exportTargets, fixedFamilies, perLayerSupport } from './targets';

/** A plan as a target sees it. */
export interface DeliveryRequest {
  readonly target: TargetName;
  /** Family name and title. */
  readonly family: { readonly name: string; readonly title: string };
  /** Active experts, one number per MoE layer in order. */
  readonly activeExperts: readonly number[];
  /** The same as the checkpoint has them. */
  readonly trainedActiveExperts?: readonly number[] | undefined;
  /** Dotted path of the config key with the number. */
  readonly configKey: string;
  /** What the plan does to the experts; absent where it only changes how many are active. */
  readonly experts?: ChangedExperts | undefined;
}

/** Experts of the MoE layers, as a plan changes them. */
export interface ChangedExperts {
  readonly before: number;
  /** One number per MoE layer in order. */
  readonly after: readonly number[];
}

/** How a plan reaches a target. */
export interface ChosenDelivery {
  readonly delivery: Delivery;
  readonly artefact: 'checkpoint' | 'arguments' | 'graph';
  /** One sentence for a person. */
  readonly explanation: string;
}

/**
 * Decides, before anything is written, how a target takes a plan.
 * @throws TunerError `unsupportedFeature` with the reason where it cannot
 */
export function chooseDelivery(request: DeliveryRequest): ChosenDelivery {
  if (perLayerSupport(request.target, request.family.name).kind === 'graph') {
    return {
      delivery: 'graph',
      artefact: 'graph',
      explanation: 'Every MoE layer has operators of its own: ONNX Runtime runs the plan as it is.',
    };
  }
  if (request.experts === undefined) {
    return deliverActiveExperts(request);
  }
  assertExpertCounts(request, request.experts);
  const { before, after } = request.experts;
  const { experts } = exportTargets[request.target];
  const counts =
    after[0] === before && new Set(after).size === 1
      ? `All ${before} experts of a layer stay, with other weights.`
      : `${[...new Set(after)].join(', ')} of ${before} experts per layer are left.`;
  const trained = request.trainedActiveExperts ?? request.activeExperts;
  const sameActive = request.activeExperts.every((k, at) => k === trained[at]);
  // A family whose number of active experts cannot be changed still loads the number that it has.
  const chosen = sameActive && isUniform(trained) ? scalarDelivery(request) : deliverActiveExperts(request);
  const explanation = [counts, chosen.explanation, experts.note?.(request.family.name)]
    .filter((part) => part !== undefined)
    .join(' ');
  return { ...chosen, artefact: 'checkpoint', explanation };
}

function isUniform(values: readonly number[]): boolean {
  return values.every((value) => value === values[0]);
}

function scalarDelivery({ target, activeExperts }: DeliveryRequest): ChosenDelivery {
  const { title, uniform } = exportTargets[target];
  return {
    delivery: 'scalar',
    artefact: uniform,
    explanation: `All MoE layers have ${activeExperts[0]} active experts, as before: ${title} takes the number from the config.`,
  };
}

/** @throws TunerError `unsupportedFeature` where the target cannot load the numbers of experts */
function assertExpertCounts({ target, family }: DeliveryRequest, { before, after }: ChangedExperts): void {
  const support = expertCountSupport(target, family.name);
  const { title } = exportTargets[target];
  const refuse = (what: string, reason: string, wayOut: string) =>
    new TunerError('unsupportedFeature', `${title} cannot load ${what} of ${family.title}: ${reason}.`, {
      place: '--target',
      wayOut,
    });
  const fewer = after.some((count) => count !== before);
  if (support.kind === 'nothing' && fewer) {
    throw refuse('fewer experts', support.reason, 'Choose a plan that keeps all experts, or another target.');
  }
  if (support.kind === 'uniform' && !isUniform(after)) {
    throw refuse(
      'different numbers of experts per layer',
      support.reason,
      `Make a plan that keeps the same number in every layer (this one keeps ${Math.min(...after)} to ${Math.max(...after)}); layers can still differ in active experts and bits.`,
    );
  }
  const least = support.kind === 'uniform' ? (support.least ?? 1) : 1;
  if (Math.min(...after) < least) {
    const reason = 'where the config counts one expert, it builds a dense layer under other names';
    throw refuse('a single expert', reason, `Keep at least ${least} experts in every layer.`);
  }
}

function deliverActiveExperts(request: DeliveryRequest): ChosenDelivery {
  const { target, family, activeExperts, configKey } = request;
  const { title, uniform } = exportTargets[target];
  const support = perLayerSupport(target, family.name);
  if (support.kind === 'nothing') {
    throw refusal(request, support.reason);
  }
  const same = isUniform(activeExperts);
  if (same && target === 'sglang' && configKey.includes('.') && request.experts === undefined) {
    throw refusal(
      request,
      `its override replaces whole objects of the config, and the number is inside one (${configKey})`,
    );
  }
  if (same) {
    const written = request.experts === undefined ? uniform : 'checkpoint';
    const means = written === 'checkpoint' ? 'from the config' : 'from the command line';
    return {
      delivery: 'scalar',
      artefact: written,
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
    const perLayer = kind === 'list' || kind === 'loader' || (kind === 'graph' && !(family.name in fixedFamilies));
    return name !== target && perLayer;
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
