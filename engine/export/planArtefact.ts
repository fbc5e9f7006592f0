import { readTextFile } from '../checkpoint/textFile';
import type { RewrittenModel } from '../transform/rewriteModel';
import type { ArtefactFile, ClosingFile, CopiedFile } from './artefactFiles';
import { changedConfigText } from './changedConfig';
import { checkpointFiles } from './checkpointFiles';
import type { ChosenDelivery } from './chooseDelivery';
import { tensorTypes } from './gguf/tensorTypes';
import { modelCard } from './modelCard';
import { tuneFileName, tuneFileText, type Provenance } from './provenance';
import { rewrittenFiles } from './rewrittenWeights';
import { argumentsFile } from './runtimeArguments';
import { transformersLoader, transformersLoaderName } from './transformersLoader';
import { tunedConfigText } from './tunedConfig';
import { vllmPluginFiles, vllmPluginFolder } from './vllmPlugin';

/** Everything that will be written, small files first: the content of generated ones, the source of copied ones. */
export interface PlannedArtefact {
  readonly files: readonly ArtefactFile[];
  readonly notes: readonly string[];
}

/** Weights of an artefact that are not those of the checkpoint. */
export interface ChangedWeights {
  readonly rewritten: RewrittenModel;
  /** Fingerprint of the weights in a written folder. */
  fingerprintOf(folder: string): Promise<string>;
}

/**
 * Works out every file of an artefact before anything is written.
 * @param weights with the `changes` of the provenance, or neither
 * @throws TunerError as {@link checkpointFiles} and {@link changedConfigText}
 */
export async function planArtefact(
  provenance: Provenance,
  { artefact }: ChosenDelivery,
  weights?: ChangedWeights,
): Promise<PlannedArtefact> {
  const tune = { name: tuneFileName, text: tuneFileText(provenance) };
  if (artefact === 'arguments') {
    const { resolved, target, activeExperts } = provenance;
    const line = argumentsFile({
      target,
      family: resolved.recognised.record.name,
      configKey: resolved.configKeys.activeExperts,
      activeExperts: activeExperts[0]!,
    });
    return { files: [line, tune], notes: [`Start the runtime on the original checkpoint with: ${line.text.trim()}`] };
  }
  const { recognised, blocks, layerCount } = provenance.resolved;
  const { delivery, activeExperts, target, fingerprint } = provenance;
  const original = await readTextFile(recognised.checkpoint.configFile, 'malformedConfig');
  const moeLayers = blocks.map(({ layer }) => layer);
  const originals = await checkpointFiles(recognised.checkpoint);
  const tuned = tunedConfigText(original, recognised, { delivery, activeExperts, moeLayers, layerCount });
  const config = await changedConfig(tuned, provenance, originals);
  const added = delivery === 'loader' ? addedCode(target, fingerprint, activeExperts, tune.text) : noCode;
  const { quantize } = provenance.plan;
  const types =
    target === 'llama.cpp' && quantize !== undefined
      ? tensorTypes(recognised.record.name, blocks, quantize)
      : { files: [], notes: [] };
  const generated = [
    { name: 'config.json', text: config },
    weights === undefined ? tune : closingTune(provenance, weights),
    { name: 'README.md', text: modelCard(provenance) },
    ...added.files,
    ...types.files,
  ];
  const names = new Set(generated.map(({ name }) => name));
  const kept = originals.filter(({ name }) => !names.has(name));
  const copied =
    weights === undefined
      ? kept
      : await rewrittenFiles(kept, weights.rewritten.tensors, [...recognised.checkpoint.tensors.values()]);
  return { files: [...generated, ...copied], notes: [...added.notes, ...types.notes] };
}

/** The config with what changed weights ask of it. */
async function changedConfig(text: string, provenance: Provenance, files: readonly CopiedFile[]): Promise<string> {
  const { changes, resolved } = provenance;
  if (changes === undefined) {
    return text;
  }
  const code: string[] = [];
  for (const { source } of files.filter(({ name }) => name.endsWith('.py'))) {
    code.push(await readTextFile(source, 'malformedConfig'));
  }
  return changedConfigText(text, resolved.recognised, {
    experts: { before: resolved.experts, after: changes.experts[0]!.length },
    countKey: resolved.configKeys.experts,
    weights: changes.computed ? changes.identity : undefined,
    code,
  });
}

/** The record names the fingerprint of the written weights, which exists when they do; any fingerprint has one length. */
function closingTune(provenance: Provenance, weights: ChangedWeights): ClosingFile {
  return {
    name: tuneFileName,
    bytes: Buffer.byteLength(tuneFileText(provenance, provenance.fingerprint), 'utf8'),
    closing: async (folder) => tuneFileText(provenance, await weights.fingerprintOf(folder)),
  };
}

const noCode: PlannedArtefact = { files: [], notes: [] };

function addedCode(target: string, fingerprint: string, activeExperts: readonly number[], tune: string) {
  const most = Math.max(...activeExperts);
  if (target === 'vllm') {
    return {
      files: vllmPluginFiles(fingerprint, activeExperts, tune),
      notes: [
        `Install the plugin where vLLM runs: pip install ./${vllmPluginFolder} (from the written folder). Without it every layer runs with ${most} active experts.`,
      ],
    };
  }
  return {
    files: [{ name: transformersLoaderName, text: transformersLoader }],
    notes: [
      `Load with ${transformersLoaderName}: from moe_tuner_loader import load; model = load(). Without it every layer runs with ${most} active experts.`,
    ],
  };
}
