import { SeededRandom, streamSeed } from '../../numeric/seededRandom';
import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';

/** A control: every set of experts is equally likely. A method that does not beat several seeds of it has found nothing. */
export const random: PruneMethodOf<'nothing'> = {
  name: 'random',
  title: 'Random',
  explanation: 'A control: any method has to beat it.',
  source: 'control',
  needs: 'nothing',
  rank({ index, experts }, seed) {
    const generator = new SeededRandom(streamSeed(seed, index));
    return ranking(Array.from({ length: experts }, () => generator.uniform()));
  },
};
