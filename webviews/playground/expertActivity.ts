import { text } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { formatShare } from '../ui-kit/numbers';
import { createScrollArea } from '../ui-kit/scrollArea';
import { sharedExperts } from './agreement';
import type { UiState, Written } from './uiState';

/** Which experts of which layer gave the chosen token: one row per MoE layer, both models side by side. */
export interface ExpertActivity {
  readonly root: HTMLElement;
  update(state: UiState): void;
}

const svgNamespace = 'http://www.w3.org/2000/svg';
/** Height of one of the two lanes of the map, in units of one expert. */
const lane = 1;

/** A strip with a place for every expert: those of the model above, those of the plan below. Decorative: the words are beside it. */
function createMap(experts: number, lanes: readonly (readonly number[])[]): SVGSVGElement {
  const map = document.createElementNS(svgNamespace, 'svg');
  map.classList.add('expert-map');
  map.setAttribute('viewBox', `0 0 ${String(experts)} ${String(2 * lane)}`);
  map.setAttribute('preserveAspectRatio', 'none');
  map.setAttribute('aria-hidden', 'true');
  map.setAttribute('focusable', 'false');
  lanes.forEach((chosen, at) => {
    for (const expert of chosen) {
      const mark = document.createElementNS(svgNamespace, 'rect');
      mark.setAttribute('class', at === 0 ? 'lane-baseline' : 'lane-plan');
      mark.setAttribute('x', String(expert));
      mark.setAttribute('y', String(at * lane));
      mark.setAttribute('width', '1');
      mark.setAttribute('height', String(lane));
      map.append(mark);
    }
  });
  return map;
}

function createExperts(
  experts: readonly number[] | undefined,
  gates: readonly number[],
  shared: ReadonlySet<number>,
): HTMLElement {
  const cell = element('td');
  if (experts === undefined) {
    cell.textContent = text('playExpertsNone');
    return cell;
  }
  experts.forEach((expert, at) => {
    const both = shared.has(expert);
    const chip = element('span', { className: both ? 'expert shared' : 'expert' }, [
      element('span', { text: `${both ? '=' : ''}${String(expert)}` }),
      element('small', { text: ` ${formatShare(gates[at] ?? 0, 0)}` }),
    ]);
    cell.append(chip, ' ');
  });
  return cell;
}

export function createExpertActivity(): ExpertActivity {
  const heading = element('h2');
  const note = element('p', { className: 'note' });
  const head = element('thead');
  const body = element('tbody');
  const table = element('table', { className: 'activity' }, [head, body]);
  const root = element('section', { className: 'activity-section' }, [
    heading,
    note,
    createScrollArea(text('playExpertsMap'), table),
  ]);
  return {
    root,
    update: ({ written, layers, selected }) => {
      const tokens = written.map(({ tokens: all }) => all[selected]);
      root.hidden = tokens.every((token) => token === undefined);
      if (root.hidden) {
        return;
      }
      const title = text('playExpertsTitle', { position: selected + 1 });
      setText(heading, title);
      root.setAttribute('aria-label', title);
      const both = written.length === 2;
      setText(note, [text('playExpertsNote'), ...(both ? [text('playExpertsNoteBoth')] : [])].join(' '));
      head.replaceChildren(headerOf(written));
      const count = Math.max(...tokens.map((token) => token?.experts.length ?? 0));
      body.replaceChildren(
        ...Array.from({ length: count }, (_, layer) => {
          const chosen = tokens.map((token) => token?.experts[layer]);
          const shared = sharedExperts(chosen[0] ?? [], chosen[1] ?? []);
          // While the first run streams its tokens, how many experts a layer has is not told yet.
          const known = layers[layer]?.experts ?? Math.max(...chosen.flatMap((each) => each ?? [])) + 1;
          return element('tr', {}, [
            element('th', { text: String(layers[layer]?.index ?? layer), attributes: { scope: 'row' } }),
            element('td', { className: 'map-cell' }, [
              createMap(
                known,
                chosen.map((each) => each ?? []),
              ),
            ]),
            ...chosen.map((each, at) => createExperts(each, tokens[at]?.gates[layer] ?? [], shared)),
            ...(both ? [element('td', { text: sharedText(shared.size, chosen) })] : []),
          ]);
        }),
      );
    },
  };
}

function sharedText(shared: number, chosen: readonly (readonly number[] | undefined)[]): string {
  return chosen.includes(undefined)
    ? text('playExpertsNone')
    : text('playExpertsSharedValue', { shared, all: Math.max(...chosen.map((each) => each?.length ?? 0)) });
}

function headerOf(written: readonly Written[]): HTMLElement {
  const names = written.map(({ name }) => text(name === 'baseline' ? 'playBaseline' : 'playWithPlan'));
  const titles = [
    text('playExpertsLayer'),
    text('playExpertsMap'),
    ...names,
    ...(written.length === 2 ? [text('playExpertsShared')] : []),
  ];
  return element(
    'tr',
    {},
    titles.map((title) => element('th', { text: title, attributes: { scope: 'col' } })),
  );
}
