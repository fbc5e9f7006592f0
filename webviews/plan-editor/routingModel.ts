import type { PlanGates } from '../../engine/protocol/plan';
import type { GatePolicy, KnownGates } from '../../engine/protocol/planEditor';
import { text } from '../strings';
import { formatDecimals, formatInteger } from '../ui-kit/numbers';
import type { Explanation } from './explanation';
import type { PlanView } from './layerState';

/** What the routers of a plan do: as every runtime computes them, or one of the corrections. */
export type RoutingPolicy = 'none' | GatePolicy;

export const routingPolicies: readonly RoutingPolicy[] = ['none', 'reference', 'scale'];

type RoutedView = Pick<PlanView, 'plan' | 'layers' | 'measurements'>;

/** The policies of a plan; a plan may have both corrections. */
export function policiesOf({ gates }: PlanView['plan']): readonly RoutingPolicy[] {
  const present = routingPolicies.filter((policy) => policy !== 'none' && gates?.[policy] !== undefined);
  return present.length === 0 ? ['none'] : present;
}

function isSame(one: readonly number[] | undefined, other: readonly number[]): boolean {
  return one?.length === other.length && one.every((value, at) => value === other[at]);
}

function numbersOf({ layers }: RoutedView): readonly number[] {
  return layers.map(({ active }) => active);
}

/** The known numbers of a policy that fit the plan best: those for its active experts, else the newest. */
export function bestKnown(policy: GatePolicy, view: RoutedView): KnownGates | undefined {
  const known = view.measurements.gates.filter((each) => each.policy === policy);
  const numbers = numbersOf(view);
  return known.findLast(({ activeExperts }) => isSame(activeExperts, numbers)) ?? known.at(-1);
}

/** The `gates` of a plan that switches to a policy; undefined without numbers for it, and for none. */
export function gatesFor(policy: RoutingPolicy, view: RoutedView): PlanGates | undefined {
  const known = policy === 'none' ? undefined : bestKnown(policy, view);
  return (
    known && {
      [known.policy]: known.values,
      ...(known.policy === 'reference' || known.tokens === undefined ? {} : { calibrationTokens: known.tokens }),
      seed: known.seed,
    }
  );
}

/** Whether factors were measured for other active experts than the plan has; undefined where that is not known. */
export function isForOtherNumbers(view: RoutedView): boolean | undefined {
  const scale = view.plan.gates?.scale;
  const run =
    scale && view.measurements.gates.find(({ policy, values }) => policy === 'scale' && isSame(scale, values));
  return run?.activeExperts === undefined ? undefined : !isSame(run.activeExperts, numbersOf(view));
}

/** The columns that the table of a plan has. */
export function routingColumns(policies: readonly RoutingPolicy[]): readonly string[] {
  return [
    text('columnActive'),
    text('columnTrained'),
    ...(policies.includes('reference') ? [text('columnReference')] : []),
    ...(policies.includes('scale') ? [text('columnScale')] : []),
  ];
}

/** The cells of one layer, parallel to {@link routingColumns}. */
export function routingCells({ plan: { gates }, layers }: RoutedView, position: number): readonly string[] {
  const layer = layers[position];
  if (layer === undefined) {
    return [];
  }
  const reference = gates?.reference?.[position];
  const scale = gates?.scale?.[position];
  return [
    String(layer.active),
    String(layer.trained),
    ...(gates?.reference === undefined ? [] : [reference === undefined ? '–' : String(reference)]),
    ...(gates?.scale === undefined ? [] : [scale === undefined ? '–' : formatDecimals(scale, 4)]),
  ];
}

/** What a policy does, for the person who chooses. */
export function policyRule(policy: RoutingPolicy): string {
  switch (policy) {
    case 'none':
      return text('planRoutingNoneRule');
    case 'reference':
      return text('planRoutingReferenceRule');
    case 'scale':
      return text('planRoutingScaleRule');
  }
}

function evidence(gates: PlanGates | undefined, view: RoutedView): string {
  if (gates?.scale === undefined) {
    return text('planSourceDocument');
  }
  const measured =
    gates.calibrationTokens === undefined
      ? text('planRoutingGaussian')
      : text('planSourceStatistics', { tokens: formatInteger(gates.calibrationTokens) });
  const other = isForOtherNumbers(view) === true ? ` ${text('planRoutingOtherNumbers')}` : '';
  return `${text('planSourceDocument')} ${measured}${other}`;
}

/** What a layer does with its gates, and why. */
export function explainRouting(view: RoutedView, position: number): Explanation | undefined {
  const { plan, layers } = view;
  const layer = layers[position];
  if (layer === undefined) {
    return undefined;
  }
  const reference = plan.gates?.reference?.[position];
  const scale = plan.gates?.scale?.[position];
  const { active, trained } = layer;
  const numbers = [
    ...(reference === undefined ? [] : [text('planRoutingReferenceNumber', { active, reference, trained })]),
    ...(scale === undefined
      ? []
      : [text('planRoutingScaleNumber', { active, trained, scale: formatDecimals(scale, 6) })]),
  ];
  return {
    title: text('planRoutingCell', { layer: layer.name }),
    rule: policiesOf(plan).map(policyRule).join(' '),
    number: numbers.length === 0 ? text('planRoutingNoneNumber', { active, trained }) : numbers.join(' '),
    source: evidence(plan.gates, view),
  };
}
