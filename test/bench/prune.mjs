import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

/**
 * `prune --method auto` against every single method: experts are chosen on the second half of the texts of every dataset, and the plans
 * measured on the first. Needs the built command line, Node and onnxruntime-node alone, so that it runs where nothing else is installed:
 *
 *     node test/bench/prune.mjs
 *
 * Everything is said by variables: MOE_TUNER_BENCH_MODEL (checkpoint), MOE_TUNER_BENCH_TEXT (a .json file of named lists of texts),
 * MOE_TUNER_BENCH_CLI (dist/cli.js), MOE_TUNER_BENCH_RATIOS (0.25,0.5), MOE_TUNER_BENCH_METHODS (all), MOE_TUNER_BENCH_WINDOWS (windows of
 * each dataset that plans are measured on; all), MOE_TUNER_BENCH_PARALLEL (commands at a time), MOE_TUNER_BENCH_PROVIDER (cpu) and
 * MOE_TUNER_BENCH_PRUNE (more options of prune, for example "--ragged"). Results go to standard output as they come, and as JSON to
 * MOE_TUNER_BENCH_OUT.
 */

const root = path.resolve(import.meta.dirname, '../..');
const variable = (/** @type {string} */ name, /** @type {string} */ otherwise) =>
  process.env[`MOE_TUNER_BENCH_${name}`] ?? otherwise;

/** Every method but those that need what a benchmark does not have (router-change: the checkpoint before fine-tuning). */
export const singleMethods = [
  ...['frequency', 'gate-mass', 'ean', 'man', 'msan', 'reap', 'razor', 'hope', 'omp', 'easy-ep', 'tcess', 'naee'],
  ...['stun', 'mone', 'aimer', 'weight-norm', 'router-norm', 'random'],
];

/** Cores of one command: more of them hardly help a small checkpoint. */
const coresEach = 2;

const run = promisify(execFile);

/**
 * @typedef {object} Quality
 * @property {number} perplexity Geometric mean over the datasets.
 * @property {Record<string, number>} datasets
 * @property {number} kl Mean KL divergence from the full model over the datasets.
 * @property {string} [chosen]
 * @property {number} seconds Of pruning.
 */

/**
 * @typedef {object} Pruned
 * @property {string} [chosen]
 * @property {number[]} [correction]
 * @property {number} seconds
 *
 * @typedef {object} Evaluated
 * @property {Record<string, { perplexity: number, kl: number }>} datasets
 * @property {number} geometricMeanPerplexity
 */

/**
 * @param {readonly string[]} options
 * @returns {Promise<unknown>} The JSON document that the command prints.
 */
async function moeTuner(options) {
  const cli = variable('CLI', path.join(root, 'dist', 'cli.js'));
  const common = ['--provider', variable('PROVIDER', 'cpu'), '--threads', String(coresEach), '--json'];
  const { stdout } = await run(process.execPath, [cli, ...options, ...common], { maxBuffer: 2 ** 28 });
  return JSON.parse(stdout);
}

/**
 * Writes the halves of every dataset to files of their own.
 * @param {string} file
 * @param {string} folder
 */
function halves(file, folder) {
  /** @type {Record<string, string[]>} */
  const datasets = JSON.parse(readFileSync(file, 'utf8'));
  const half = (/** @type {boolean} */ first) =>
    Object.fromEntries(
      Object.entries(datasets).map(([name, texts]) => {
        const middle = Math.floor(texts.length / 2);
        return [name, first ? texts.slice(0, middle) : texts.slice(middle)];
      }),
    );
  const write = (/** @type {string} */ name, /** @type {boolean} */ first) => {
    const written = path.join(folder, name);
    writeFileSync(written, JSON.stringify(half(first)));
    return written;
  };
  return { evaluation: write('evaluation.json', true), calibration: write('calibration.json', false) };
}

/**
 * @param {string} checkpoint
 * @param {string} folder
 * @param {{ evaluation: string, calibration: string }} texts
 * @param {string} method
 * @param {string} ratio
 * @returns {Promise<Quality>}
 */
async function measure(checkpoint, folder, texts, method, ratio) {
  const plan = path.join(folder, `${method}-${ratio}.moeplan.json`);
  const cache = ['--cache', path.join(folder, 'cache')];
  const more = variable('PRUNE', '').split(' ').filter(Boolean);
  const choice = ['--method', method, '--ratio', ratio, '--text', texts.calibration, '--out', plan, ...more];
  const { chosen, correction, seconds } = /** @type {Pruned} */ (
    await moeTuner(['prune', checkpoint, ...choice, ...cache])
  );
  const windows = process.env['MOE_TUNER_BENCH_WINDOWS'];
  const text = ['--text', texts.evaluation, ...(windows === undefined ? [] : ['--windows', windows])];
  const result = /** @type {Evaluated} */ (await moeTuner(['evaluate', checkpoint, '--plan', plan, ...text, ...cache]));
  const datasets = Object.entries(result.datasets);
  return {
    perplexity: result.geometricMeanPerplexity,
    datasets: Object.fromEntries(datasets.map(([name, { perplexity }]) => [name, perplexity])),
    kl: datasets.reduce((sum, [, { kl }]) => sum + kl, 0) / datasets.length,
    ...(chosen === undefined ? {} : { chosen: correction === undefined ? chosen : `${chosen}, corrected gates` }),
    seconds,
  };
}

/**
 * @template Item
 * @param {readonly Item[]} items
 * @param {number} atATime
 * @param {(item: Item) => Promise<void>} work
 */
async function inParallel(items, atATime, work) {
  const left = [...items];
  await Promise.all(
    Array.from({ length: Math.max(1, atATime) }, async () => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) {
        await work(item);
      }
    }),
  );
}

/** @param {Quality} quality */
function described({ perplexity, datasets, kl, chosen, seconds }) {
  const each = Object.entries(datasets).map(([name, value]) => `${name} ${value.toFixed(3)}`);
  const taken = chosen === undefined ? '' : ` (took ${chosen})`;
  return `perplexity ${perplexity.toFixed(4)}, KL ${kl.toFixed(4)}${taken}; ${each.join(', ')}; ${seconds.toFixed(0)} s`;
}

/** Prints every measurement, and for every ratio how auto stands to the best single method. */
export async function benchmarkPrune() {
  const checkpoint = path.resolve(variable('MODEL', path.join(root, '../shared/models/text')));
  const text = path.resolve(variable('TEXT', path.join(root, '../shared/eval/text-eval.json')));
  const missing = [checkpoint, text].find((place) => !existsSync(place));
  if (missing !== undefined) {
    console.log(`prune: not measured, ${missing} does not exist. Set MOE_TUNER_BENCH_MODEL and MOE_TUNER_BENCH_TEXT.`);
    return;
  }
  const ratios = variable('RATIOS', '0.25,0.5').split(',');
  const methods = ['auto', ...variable('METHODS', singleMethods.join()).split(',')];
  const parallel = Number(variable('PARALLEL', String(Math.floor(cpus().length / coresEach))));
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-prune-'));
  try {
    const texts = halves(text, folder);
    /** @type {Record<string, Record<string, Quality>>} */
    const results = Object.fromEntries(ratios.map((ratio) => [ratio, {}]));
    const work = async (/** @type {{ method: string, ratio: string }} */ { method, ratio }) => {
      const quality = await measure(checkpoint, folder, texts, method, ratio);
      /** @type {Record<string, Quality>} */ (results[ratio])[method] = quality;
      console.log(`prune ${ratio} ${method}: ${described(quality)}`);
    };
    // The first calibrates, and the others find it in the cache.
    const [first, ...others] = methods.flatMap((method) => ratios.map((ratio) => ({ method, ratio })));
    await inParallel(first === undefined ? [] : [first], 1, work);
    await inParallel(others, parallel, work);
    for (const [ratio, { auto, ...single }] of Object.entries(results)) {
      const ranked = Object.entries(single).sort(([, left], [, right]) => left.perplexity - right.perplexity);
      const best = ranked[0];
      if (auto === undefined || best === undefined) {
        continue;
      }
      console.log(`\nratio ${ratio}, best first:`);
      for (const [name, quality] of [...ranked, /** @type {const} */ (['auto', auto])].sort(
        ([, left], [, right]) => left.perplexity - right.perplexity,
      )) {
        console.log(`  ${name.padEnd(14)} ${described(quality)}`);
      }
      const share = auto.perplexity / best[1].perplexity;
      console.log(`prune ${ratio}: perplexity of auto over ${best[0]}, the best single: ${share.toFixed(5)} (limit 1)`);
    }
    const out = process.env['MOE_TUNER_BENCH_OUT'];
    if (out !== undefined) {
      writeFileSync(out, `${JSON.stringify(results, undefined, 1)}\n`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await benchmarkPrune();
