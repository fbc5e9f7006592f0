import { gatedBy, type GatedActivation } from '../reference/activations';
import type { ReferenceCheckpoint } from '../reference/checkpoint';
import { mixtralNames, namedNetwork, separateExperts } from '../reference/experts';
import type { MoeBlock } from '../reference/moeBlock';
import { biasedRouter, type Router } from '../reference/router';
import type { TinyTensor } from '../tinyCheckpoints/randomTensors';
import { experts, network, router, tiny, wNames } from '../tinyCheckpoints/tinyCheckpoint';

export const silu = gatedBy('silu');

/** Names of one family's block, and everything the reference needs to know about it. */
export interface BlockNames {
  readonly gate: string;
  readonly experts: string;
  readonly numbered?: boolean;
  readonly selectionBias?: string;
  readonly shared?: string;
  readonly sharedGate?: string;
  readonly sharedWidth?: number;
}

export function blockTensors(names: BlockNames): (stem: string) => TinyTensor[] {
  return (stem) => [
    router(stem + names.gate),
    ...(names.selectionBias === undefined ? [] : [selectionBias(stem + names.selectionBias)]),
    ...experts(stem + names.experts, names.numbered === true ? { names: wNames } : {}),
    ...(names.shared === undefined ? [] : network(stem + names.shared, names.sharedWidth ?? tiny.expert)),
    ...(names.sharedGate === undefined
      ? []
      : [{ name: `${stem}${names.sharedGate}.weight`, shape: [1, tiny.hidden], role: 'weight' as const }]),
  ];
}

export function selectionBias(name: string): TinyTensor {
  return { name, shape: [tiny.experts], role: 'choiceBias', storage: 'F32' };
}

/** The reference block under these names. */
export function namedBlock(
  checkpoint: ReferenceCheckpoint,
  stem: string,
  names: BlockNames,
  route: Router,
  options: { readonly activation?: GatedActivation; readonly sharedActivation?: GatedActivation } = {},
): MoeBlock {
  const activation = options.activation ?? silu;
  const expertNames = names.numbered === true ? mixtralNames : undefined;
  return {
    gate: checkpoint.linear(stem + names.gate),
    router: route,
    experts: separateExperts(checkpoint, stem + names.experts, tiny.experts, activation, expertNames),
    activeExperts: tiny.activeExperts,
    weightsApplyTo: 'output',
    shared:
      names.shared === undefined
        ? undefined
        : namedNetwork(checkpoint, stem + names.shared, options.sharedActivation ?? activation),
    sharedGate: names.sharedGate === undefined ? undefined : checkpoint.linear(stem + names.sharedGate),
  };
}

/** Sigmoid scores chosen with the bias stored under a name. */
export function sigmoidRouter(
  checkpoint: ReferenceCheckpoint,
  biasName: string | undefined,
  options: {
    readonly epsilon: number;
    readonly scale?: number;
    readonly groups?: { readonly count: number; readonly kept: number };
  },
): Router {
  return biasedRouter({
    score: 'sigmoid',
    bias: biasName === undefined ? undefined : checkpoint.tensor(biasName).data,
    groups: options.groups,
    divide: { by: 'sumPlus', epsilon: options.epsilon },
    scale: options.scale ?? 1,
  });
}
