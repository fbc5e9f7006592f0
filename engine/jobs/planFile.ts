import { access, realpath } from 'node:fs/promises';
import { writeFileAtomic } from '../checkpoint/atomicFile';
import { readTextFile, systemErrorCode } from '../checkpoint/textFile';
import { TunerError } from '../protocol/errors';
import { planSchema, planVersion, type Plan } from '../protocol/plan';
import { editJsonObject, printJson } from './planEdit';
import { parsePlan, printPath } from './planText';

/** The checkpoint a plan belongs to. */
export interface PlanIdentity {
  readonly family: string;
  readonly fingerprint: string;
}

/** What a plan must agree with. */
export interface PlanTarget extends PlanIdentity {
  /** Decoder indices of the MoE layers in model order. */
  readonly moeLayers: readonly number[];
  /** Routed experts, parallel to `moeLayers`. */
  readonly expertsPerLayer: readonly number[];
}

/**
 * Reads a plan file. Comments and trailing commas are allowed.
 * @throws TunerError `fileNotFound`, or `malformedPlan` with key path, line and column of the first mistake
 */
export async function readPlan(file: string): Promise<Plan> {
  return parsePlan(await readTextFile(file, 'malformedPlan'), file).plan;
}

/**
 * Checks that a plan belongs to a checkpoint and that its numbers are possible there. A plan without `source` belongs to every
 * checkpoint whose layers it fits.
 * @throws TunerError `planForAnotherCheckpoint` when family or fingerprint differ; `malformedPlan` when the number of layers
 * differs or a layer is given more active experts than it has experts
 */
export function assertPlanFits(plan: Plan, target: PlanTarget, file: string): void {
  assertPlanSource(plan, target, file);
  const { activeExperts } = plan;
  if (activeExperts === undefined) {
    return;
  }
  const layers = target.moeLayers.length;
  if (activeExperts.length !== layers) {
    throw new TunerError(
      'malformedPlan',
      `The plan gives active experts for ${activeExperts.length} layers, the checkpoint has ${layers} MoE layers.`,
      { file, place: 'activeExperts', wayOut: `List ${layers} numbers, one per MoE layer in order.` },
    );
  }
  activeExperts.forEach((active, position) => {
    const experts = target.expertsPerLayer[position] ?? 0;
    if (active > experts) {
      throw new TunerError(
        'malformedPlan',
        `Decoder layer ${target.moeLayers[position]} cannot have ${active} active experts: it has ${experts} experts.`,
        {
          file,
          place: printPath(['activeExperts', position]),
          wayOut: `Choose a number between 1 and ${experts}.`,
        },
      );
    }
  });
}

/** @throws TunerError `planForAnotherCheckpoint` when the plan says that it was made for another family or other weights */
export function assertPlanSource({ source }: Plan, target: PlanIdentity, file: string): void {
  if (source !== undefined && source.family !== target.family) {
    throw new TunerError(
      'planForAnotherCheckpoint',
      `The plan was made for a ${source.family} model ("${source.checkpoint}"), this checkpoint is ${target.family}.`,
      { file, place: 'source.family', wayOut: 'Choose the checkpoint the plan was made for, or make a new plan.' },
    );
  }
  if (source !== undefined && source.fingerprint !== target.fingerprint) {
    throw new TunerError('planForAnotherCheckpoint', `The plan was made for other weights ("${source.checkpoint}").`, {
      file,
      place: 'source.fingerprint',
      wayOut: 'Choose the checkpoint the plan was made for, or make a new plan.',
    });
  }
}

/**
 * Checks, before hours of work, that the result can go into a plan file that may exist already.
 * @throws TunerError `malformedPlan`, `planForAnotherCheckpoint`
 */
export async function assertPlanAccepts(file: string, target: PlanIdentity): Promise<void> {
  const place = await existingFile(file);
  if (place !== undefined) {
    assertPlanSource(await readPlan(place), target, file);
  }
}

/** The plan in a file; undefined where there is no such file yet. @throws TunerError `malformedPlan` */
export async function planInFile(file: string): Promise<Plan | undefined> {
  const place = await existingFile(file);
  return place === undefined ? undefined : readPlan(place);
}

/** Bounds of the layers that an existing plan locks, by decoder index: the active experts it gives them. */
export async function lockedLayers(
  file: string,
  { moeLayers }: PlanTarget,
): Promise<ReadonlyMap<number, { readonly minimum: number; readonly maximum: number }>> {
  const { locked = [], activeExperts }: Partial<Plan> = (await planInFile(file)) ?? {};
  const bounds = locked.flatMap((layer): [number, { minimum: number; maximum: number }][] => {
    const active = activeExperts?.[moeLayers.indexOf(layer)];
    return active === undefined ? [] : [[layer, { minimum: active, maximum: active }]];
  });
  return new Map(bounds);
}

/** Changes to a plan: keys that are given are set, keys given as undefined are deleted, all others stay. */
export type PlanChanges = { readonly [Key in keyof Plan]?: Plan[Key] | undefined };

/**
 * Creates a plan file, or changes the given keys of an existing one and nothing else: comments, formatting and order stay, and
 * `activeExperts` is on one line. The file is replaced atomically; when nothing changes it is not touched.
 * @returns the plan as it now stands in the file
 * @throws TunerError `malformedPlan` when the existing file is not a valid plan (it is left alone), `writeFailed`
 */
export async function updatePlan(file: string, changes: PlanChanges): Promise<Plan> {
  const place = await existingFile(file);
  if (place === undefined) {
    const { $schema, ...rest } = changes;
    const created = planSchema.parse({ ...($schema === undefined ? {} : { $schema }), version: planVersion, ...rest });
    await writeFileAtomic(file, `${printJson(created)}\n`);
    return created;
  }
  const before = parsePlan(await readTextFile(place, 'malformedPlan'), place);
  const text = editJsonObject(before.text, changes);
  // Reading back what will be written proves the edit before the file is replaced.
  const { plan } = parsePlan(text, place);
  if (text !== before.text) {
    await writeFileAtomic(place, text);
  }
  return plan;
}

/** The file itself where the path is a symbolic link, so that writing keeps the link; undefined when there is nothing yet. */
async function existingFile(file: string): Promise<string | undefined> {
  try {
    await access(file);
    return await realpath(file);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') {
      return undefined;
    }
    return file;
  }
}
