import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, sample } from './paths.mjs';
import { run } from './run.mjs';
import { printTable } from './table.mjs';

const commandLine = join(root, 'dist', 'cli.js');
const playground = join(root, '.cache', 'playground');

/**
 * @typedef {object} Inspection
 * @property {string} name
 * @property {string} family
 * @property {number} parameters
 * @property {{ moe: boolean, experts: number, active: number }[]} layers
 *
 * @typedef {{ layers: { index: number, relativeSquared: number[] }[], coefficientOfVariation: number, seconds: number }} Profile
 * @typedef {{ activeExperts: number[], total: number, seconds: number }} Budget
 * @typedef {{ activeExperts: number[], meanAccuracy: number, seconds: number }} Evaluation
 */

/**
 * Tunes a copy of the bundled sample with the command line, as a person would, and prints what was measured.
 * @returns {Promise<string>} Folder of the tuned copy, with the plan in it.
 */
export async function tuneSample() {
  const checkpoint = join(playground, 'sample');
  rmSync(checkpoint, { recursive: true, force: true });
  mkdirSync(playground, { recursive: true });
  cpSync(sample, checkpoint, { recursive: true });

  /** @type {Inspection} */
  const model = await tuner('inspect', checkpoint);
  const layers = model.layers.filter(({ moe }) => moe);
  const active = Math.max(...layers.map((layer) => layer.active));
  const half = Math.max(1, Math.floor(active / 2));
  const millions = (model.parameters / 1e6).toFixed(1);
  console.log(
    `\n${model.name}: ${model.family}, ${millions} M parameters, ${layers.length} MoE layers with ${active} of ${layers[0]?.experts} experts active\n`,
  );

  /** @type {Profile} */
  const profile = await tuner('profile', checkpoint);
  printSensitivity(profile, active);

  const plans = [];
  for (const { objective, label, options } of objectives) {
    const path = join(checkpoint, `${objective}.moeplan.json`);
    const text = options.length > 0 ? ['--text', join(checkpoint, 'calibration.jsonl'), ...options] : [];
    const wanted = ['--average', budgetAverage, '--objective', objective, ...text, '--out', path];
    /** @type {Budget} */
    const budget = await tuner('budget', checkpoint, ...wanted);
    plans.push({ label: `plan: ${label}`, args: ['--plan', path], activeExperts: budget.activeExperts });
  }
  await compare(checkpoint, [
    { label: 'as trained', args: [], activeExperts: layers.map((layer) => layer.active) },
    ...[half, 1].map((k) => ({
      label: `uniform ${k}`,
      args: ['--active-experts', String(k)],
      activeExperts: layers.map(() => k),
    })),
    ...plans,
  ]);
  return checkpoint;
}

/** Active experts per layer of the plans: a quarter more than the least a model can do with. */
const budgetAverage = 1.25;

/**
 * Objectives that are compared at the same budget: the published one, from weights alone, and the default, which measures the
 * whole model on text.
 */
const objectives = [
  { objective: 'lexi', label: 'LExI as published', options: [] },
  { objective: 'auto', label: 'auto', options: ['--calibration-tokens', '8192'] },
];

/**
 * @param {Profile} profile
 * @param {number} active
 */
function printSensitivity({ layers, coefficientOfVariation, seconds }, active) {
  console.log('Relative squared error of a layer at k active experts (Gaussian probe)');
  printTable(
    ['layer', ...Array.from({ length: active }, (_, index) => `k = ${index + 1}`)],
    layers.map(({ index, relativeSquared }) => [String(index), ...relativeSquared.map((value) => value.toFixed(4))]),
  );
  const spread = (100 * coefficientOfVariation).toFixed(2);
  console.log(`Profiled in ${seconds.toFixed(1)} s; coefficient of variation ${spread} %.\n`);
}

/**
 * @param {string} checkpoint
 * @param {readonly { label: string, args: readonly string[], activeExperts: readonly number[] }[]} settings
 */
async function compare(checkpoint, settings) {
  const tasks = join(checkpoint, 'tasks.jsonl');
  const rows = [];
  for (const { label, args, activeExperts } of settings) {
    /** @type {Evaluation} */
    const evaluation = await tuner('evaluate', checkpoint, '--tasks', tasks, ...args);
    rows.push([
      label,
      activeExperts.join(' '),
      String(activeExperts.reduce((total, each) => total + each, 0)),
      `${(100 * evaluation.meanAccuracy).toFixed(2)} %`,
      evaluation.seconds.toFixed(1),
    ]);
  }
  console.log('Measured on the test items of the sample');
  printTable(['setting', 'active experts per layer', 'sum', 'mean task accuracy', 'seconds'], rows);
  console.log('');
}

/**
 * Runs one command of moe-tuner. On a terminal its progress is shown; elsewhere it would be noise.
 * @param {string} command
 * @param {string} checkpoint
 * @param {...(string | number)} args
 */
async function tuner(command, checkpoint, ...args) {
  const { code, stdout, stderr } = await run(
    process.execPath,
    [commandLine, command, checkpoint, ...args.map(String), '--json'],
    { quiet: process.stderr.isTTY ? 'stdout' : true },
  );
  if (code !== 0) {
    throw new Error(`moe-tuner ${command} ended with exit code ${code}.\n${stderr}`.trim());
  }
  return JSON.parse(stdout);
}
