import { TunerError } from '../../protocol/errors';
import { SeededRandom } from '../../numeric/seededRandom';
import type { BudgetPoint } from './budgetFront';
import { costRange, hasUnitCosts, infeasibleTotal, totalLoss, validateTable, type BudgetTable } from './lossTable';
import { allocationSampler } from './random';

/** Settings of the evolutionary search. The paper names them and publishes none of their values; these are ours. */
export interface EvolutionarySettings {
  /** N_pop: individuals kept. */
  readonly population: number;
  /** G_max: children bred, one per generation (steady state). */
  readonly generations: number;
  /** eta_mut: chance that a child is mutated in a layer. */
  readonly mutationRate: number;
  /** Individuals drawn per tournament. */
  readonly tournament: number;
}

export const defaultEvolutionarySettings: EvolutionarySettings = {
  population: 100,
  generations: 5000,
  mutationRate: 0.1,
  tournament: 2,
};

/**
 * The search LExI publishes (arXiv 2509.02753, Algorithm 2) for one total of active experts:
 * minimise phi(k) = sum_l D_l[k_l] over sum_l k_l = total, minimum_l <= k_l <= maximum_l. Parents by tournament, uniform crossover
 * (each layer from either parent with probability 0.5), mutation by moving one expert between two layers (deltas -1 and +1, sum 0),
 * projection back to the feasible set, child takes the place of the worst individual when it is not worse. Ends with the arg-min.
 *
 * Heuristic: it can equal {@link solveExact} and never beat it. Kept to reproduce the publication. Same seed, same answer.
 *
 * @throws TunerError `infeasibleBudget` for a total out of range, `unsupportedFeature` for tables with a cost column (the
 * published moves keep a count of experts, not a cost).
 */
export function solveEvolutionary(
  table: BudgetTable,
  total: number,
  seed: number,
  settings: EvolutionarySettings = defaultEvolutionarySettings,
): BudgetPoint {
  validateTable(table);
  if (!hasUnitCosts(table)) {
    throw new TunerError('unsupportedFeature', 'The evolutionary search only knows budgets in active experts.', {
      wayOut: 'Use the exact solver for budgets in other units.',
    });
  }
  const { lowest, highest } = costRange(table);
  if (!Number.isInteger(total) || total < lowest || total > highest) {
    throw infeasibleTotal(total, lowest, highest);
  }
  const random = new SeededRandom(seed);
  const minimum = table.layers.map((layer) => layer.minimum);
  const maximum = table.layers.map((layer) => layer.maximum);
  const sample = allocationSampler({ minimum, maximum }, total);
  const population = Array.from({ length: settings.population }, () => individual(table, sample(random)));
  for (let generation = 0; generation < settings.generations; generation++) {
    const mother = tournament(population, settings.tournament, random);
    const father = tournament(population, settings.tournament, random);
    const child = mother.genes.map((gene, position) => (random.uniform() < 0.5 ? gene : father.genes[position]!));
    mutate(child, settings.mutationRate, random);
    project(child, minimum, maximum, total, random);
    replaceWorst(population, individual(table, child));
  }
  const best = population.reduce((fittest, candidate) => (candidate.loss < fittest.loss ? candidate : fittest));
  return { total, predicted: best.loss, activeExperts: best.genes };
}

interface Individual {
  readonly genes: number[];
  readonly loss: number;
}

function individual(table: BudgetTable, genes: number[]): Individual {
  return { genes, loss: totalLoss(table, genes) };
}

function tournament(population: readonly Individual[], size: number, random: SeededRandom): Individual {
  let winner = population[random.integerBelow(population.length)]!;
  for (let round = 1; round < size; round++) {
    const rival = population[random.integerBelow(population.length)]!;
    winner = rival.loss < winner.loss ? rival : winner;
  }
  return winner;
}

/** Every layer, with probability `rate`, hands one expert to another layer; bounds are repaired by the projection. */
function mutate(genes: number[], rate: number, random: SeededRandom): void {
  for (let position = 0; position < genes.length && genes.length > 1; position++) {
    if (random.uniform() < rate) {
      const other = (position + 1 + random.integerBelow(genes.length - 1)) % genes.length;
      genes[position] = genes[position]! - 1;
      genes[other] = genes[other]! + 1;
    }
  }
}

/** Clips to the bounds, then adds or removes single experts in random layers until the total is right again. */
function project(
  genes: number[],
  minimum: readonly number[],
  maximum: readonly number[],
  total: number,
  random: SeededRandom,
): void {
  genes.forEach((gene, position) => {
    genes[position] = Math.min(maximum[position]!, Math.max(minimum[position]!, gene));
  });
  let missing = total - genes.reduce((sum, gene) => sum + gene, 0);
  while (missing !== 0) {
    const step = Math.sign(missing);
    const open = genes.flatMap((gene, position) =>
      (step > 0 ? gene < maximum[position]! : gene > minimum[position]!) ? [position] : [],
    );
    const position = open[random.integerBelow(open.length)]!;
    genes[position] = genes[position]! + step;
    missing -= step;
  }
}

function replaceWorst(population: Individual[], child: Individual): void {
  let worst = 0;
  for (let position = 1; position < population.length; position++) {
    worst = population[position]!.loss > population[worst]!.loss ? position : worst;
  }
  if (child.loss <= population[worst]!.loss) {
    population[worst] = child;
  }
}
