import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { createScrollArea } from '../ui-kit/scrollArea';
import type { EvidenceModel, EvidenceRow } from './evidenceModel';

/** The measured candidates as a table, with what came out of them in words. */
export function createEvidenceTable(model: EvidenceModel): HTMLElement {
  const headings = [
    text('columnCandidate'),
    text('columnPredictedKl'),
    text('columnMeasuredKl'),
    text('columnPerplexity'),
  ];
  const table = element('table', { className: 'evidence-table' }, [
    element('caption', { text: model.caption }),
    element('thead', {}, [
      element(
        'tr',
        {},
        headings.map((heading) => element('th', { text: heading, attributes: { scope: 'col' } })),
      ),
    ]),
    element('tbody', {}, model.rows.map(createRow)),
  ]);
  return element('div', { className: 'evidence' }, [
    createScrollArea(model.caption, table),
    ...model.sentences.map((sentence) => element('p', { className: 'note', text: sentence })),
  ]);
}

function createRow({ name, cells, chosen, control }: EvidenceRow): HTMLElement {
  const tags = [chosen ? text('candidateChosen') : '', control ? text('candidateControl') : ''];
  const heading = element('th', { attributes: { scope: 'row' } }, [
    document.createTextNode(name),
    ...tags
      .filter((tag) => tag !== '')
      .flatMap((tag) => [document.createTextNode(' '), element('span', { className: 'tag', text: tag })]),
  ]);
  const className = [chosen ? 'chosen' : '', control ? 'control' : ''].filter(Boolean).join(' ');
  return element('tr', { className }, [heading, ...cells.map((cell) => element('td', { text: cell }))]);
}
