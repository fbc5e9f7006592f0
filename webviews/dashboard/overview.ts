import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import type { DashboardSnapshot } from '../../engine/protocol/dashboard';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { createIcon } from '../ui-kit/icons';
import { formatBytes, formatCount, formatShare } from '../ui-kit/numbers';
import { createButton, createDropdown, createProgressRing } from '../ui-kit/toolkit';
import { createChangeGate } from './section';
import type { DashboardContext, DashboardPart } from './section';

/** The facts of a checkpoint as pairs of name and value. */
export function factsOf(summary: CheckpointSummary): readonly (readonly [string, string])[] {
  const mixed = summary.layers.filter(({ moe }) => moe).length;
  const { experts, activeExperts: active } = summary;
  return [
    [text('factFamily'), summary.family],
    [text('factExperts'), text('factExpertsValue', { active, experts })],
    [text('factLayers'), text('factLayersValue', { moe: mixed, layers: summary.layers.length })],
    [
      text('factParameters'),
      text('factParametersValue', {
        total: formatCount(summary.parameters),
        active: formatCount(summary.activeParameters),
      }),
    ],
    [text('factSize'), text('factSizeValue', { total: formatBytes(summary.bytes), dtype: summary.dtype })],
    [
      text('factExpertSize'),
      text('factExpertSizeValue', {
        size: formatBytes(summary.expertBytes),
        share: formatShare(summary.expertBytes / Math.max(1, summary.bytes), 0),
      }),
    ],
  ];
}

/** Checkpoint selector, the facts of the selected checkpoint, and what its headers warn about. */
export function createOverview(context: DashboardContext): DashboardPart {
  const isNew = createChangeGate();
  let selected: string | undefined;
  const selector = createDropdown(text('checkpoint'), (folder) => {
    if (folder !== selected && folder !== '') {
      context.post({ kind: 'select', folder });
    }
  });
  const config = createButton({
    label: text('openConfig'),
    icon: 'file',
    appearance: 'icon',
    onPress: () => {
      context.post({ kind: 'action', action: 'openConfig' });
    },
  });
  const facts = element('dl', { className: 'facts', attributes: { 'aria-label': text('overview') } });
  const warnings = element('ul', { className: 'warnings' });
  const reading = element('p', { className: 'reading', attributes: { role: 'status' } }, [
    createProgressRing(),
    element('span', { text: text('readingCheckpoint') }),
  ]);
  const root = element('header', { className: 'overview' }, [
    element('div', { className: 'selector' }, [selector.root, config.root]),
    facts,
    reading,
    warnings,
  ]);

  return {
    root,
    update: (snapshot: DashboardSnapshot) => {
      const { checkpoints, summary, error } = snapshot;
      if (!isNew([checkpoints, snapshot.selected, summary, error !== undefined])) {
        return;
      }
      selected = snapshot.selected;
      const options = checkpoints.map(({ folder, label }) => ({ value: folder, label }));
      selector.update(options, selected);
      facts.hidden = summary === undefined;
      config.root.hidden = summary === undefined;
      reading.hidden = summary !== undefined || error !== undefined;
      facts.replaceChildren(...(summary === undefined ? [] : factsOf(summary).map(createFact)));
      warnings.replaceChildren(...(summary?.warnings ?? []).map(createWarning));
      warnings.hidden = (summary?.warnings.length ?? 0) === 0;
    },
    dispose: () => {
      root.remove();
    },
  };
}

function createFact([name, value]: readonly [string, string]): HTMLElement {
  return element('div', { className: 'fact' }, [element('dt', { text: name }), element('dd', { text: value })]);
}

function createWarning(warning: string): HTMLElement {
  return element('li', {}, [createIcon('warning'), element('span', { text: warning })]);
}
