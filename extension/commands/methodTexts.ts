import type { MergeMethodName } from '../../engine/protocol/merging';
import type { PruneMethodName } from '../../engine/protocol/pruning';
import type { QuantizeParams } from '../../engine/protocol/quantization';
import { localize } from '../common/localize';

/** Whether a method reads text: it must, it may, or it looks at weights alone. */
export type TextNeed = 'needed' | 'optional' | 'none';

/** How a picker offers a method. */
export interface MethodText {
  readonly description: string;
  readonly text: TextNeed;
}

/** The methods that a person can choose without further files, the default first. */
export function pruneMethodTexts(): Readonly<Partial<Record<PruneMethodName, MethodText>>> {
  return {
    auto: {
      text: 'needed',
      description: localize('Default: measures the plans of the other methods and takes the best'),
    },
    reap: { text: 'needed', description: localize('Gate times output norm, mean over the tokens of an expert (REAP)') },
    ean: { text: 'needed', description: localize('Sum of output norms over the tokens of an expert') },
    frequency: { text: 'needed', description: localize('How many tokens choose the expert') },
    'gate-mass': { text: 'needed', description: localize('Sum of the gates an expert gets') },
    man: { text: 'needed', description: localize('Mean output norm of an expert') },
    msan: { text: 'needed', description: localize('Mean squared output norm of an expert') },
    razor: { text: 'needed', description: localize('Change of the block output when the next expert takes the place') },
    hope: { text: 'needed', description: localize('Sets of experts by contributions and by how they go together') },
    omp: { text: 'needed', description: localize('Sets that rebuild the block output best (matching pursuit)') },
    mone: {
      text: 'needed',
      description: localize('Use times spread of the outputs: rare or constant experts go (MoNE)'),
    },
    'easy-ep': { text: 'needed', description: localize('Output norm weighted by how far the block turns the token') },
    tcess: { text: 'needed', description: localize('Logits of the first choice, for one task (PreMoe)') },
    naee: { text: 'needed', description: localize('Tries sets on kept inputs and takes the smallest output change') },
    stun: { text: 'optional', description: localize('Clusters of experts that behave alike, one of each stays') },
    aimer: { text: 'none', description: localize('Shape of the weights alone; needs no text') },
    'weight-norm': { text: 'none', description: localize('Norms of the weights alone; needs no text') },
    'router-norm': { text: 'none', description: localize('Norms of the router rows alone; needs no text') },
    random: { text: 'none', description: localize('Control: experts drawn at random') },
  };
}

export function mergeMethodTexts(): Readonly<Record<MergeMethodName, MethodText>> {
  return {
    mergemoe: {
      text: 'needed',
      description: localize('Default: groups around the experts used most, refitted to what their members compute'),
    },
    'm-smoe': {
      text: 'needed',
      description: localize('Groups around the experts used most, aligned and weighted by use'),
    },
    ream: { text: 'needed', description: localize('Groups around the most salient experts, by outputs and gates') },
    'hc-smoe': { text: 'needed', description: localize('Clusters of experts with similar mean outputs') },
  };
}

export function quantizerTexts(): Readonly<Record<QuantizeParams['method'], MethodText>> {
  return {
    auto: { text: 'needed', description: localize('Default: measures the quantizers on text and takes the best') },
    gptq: {
      text: 'needed',
      description: localize('Rounds column by column and corrects the rest on real inputs (GPTQ)'),
    },
    eaquant: {
      text: 'needed',
      description: localize('Keeps what the router decides; inputs balanced over the experts'),
    },
    awq: {
      text: 'needed',
      description: localize('Scales channels by how strongly they are used before rounding (AWQ)'),
    },
    hqq: { text: 'none', description: localize('Fits zero points to the weights alone; needs no text (HQQ)') },
    rtn: { text: 'none', description: localize('Rounds to the nearest value; needs no text') },
  };
}
