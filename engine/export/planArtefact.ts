import { readTextFile } from '../checkpoint/textFile';
import type { ArtefactFile } from './artefactFiles';
import { checkpointFiles } from './checkpointFiles';
import type { ChosenDelivery } from './chooseDelivery';
import { modelCard } from './modelCard';
import { tuneFileName, tuneFileText, type Provenance } from './provenance';
import { argumentsFile } from './runtimeArguments';
import { transformersLoader, transformersLoaderName } from './transformersLoader';
import { tunedConfigText } from './tunedConfig';
import { vllmPluginFiles, vllmPluginFolder } from './vllmPlugin';

/** Everything that will be written, small files first: the content of generated ones, the source of copied ones. */
export interface PlannedArtefact {
  readonly files: readonly ArtefactFile[];
  readonly notes: readonly string[];
}

/**
 * Works out every file of an artefact before anything is written.
 * @throws TunerError as {@link checkpointFiles}
 */
export async function planArtefact(provenance: Provenance, { artefact }: ChosenDelivery): Promise<PlannedArtefact> {
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
  const config = tunedConfigText(original, recognised, { delivery, activeExperts, moeLayers, layerCount });
  const added = delivery === 'loader' ? addedCode(target, fingerprint, activeExperts, tune.text) : noCode;
  const generated = [
    { name: 'config.json', text: config },
    tune,
    { name: 'README.md', text: modelCard(provenance) },
    ...added.files,
  ];
  const names = new Set(generated.map(({ name }) => name));
  const copied = (await checkpointFiles(recognised.checkpoint)).filter(({ name }) => !names.has(name));
  return { files: [...generated, ...copied], notes: added.notes };
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
