import { text } from '../strings';
import { createDataGrid } from '../ui-kit/dataGrid';
import { element, setText, uniqueId } from '../ui-kit/elements';
import { createScrollArea } from '../ui-kit/scrollArea';
import type { PlanView } from './layerState';
import {
  bestKnown,
  explainRouting,
  gatesFor,
  isForOtherNumbers,
  policiesOf,
  policyRule,
  routingCells,
  routingColumns,
  routingPolicies,
} from './routingModel';
import type { RoutingPolicy } from './routingModel';
import { createSection } from './section';
import type { EditorContext, EditorPart } from './section';

const policyNames = {
  none: 'planRoutingNone',
  reference: 'planRoutingReference',
  scale: 'planRoutingScale',
} as const;

/** One policy to choose, with what it does. */
interface PolicyChoice {
  readonly policy: RoutingPolicy;
  readonly root: HTMLElement;
  readonly input: HTMLInputElement;
}

function createChoice(policy: RoutingPolicy, group: string, onChoose: (policy: RoutingPolicy) => void): PolicyChoice {
  const ruleId = uniqueId('rule');
  const input = element('input', { attributes: { type: 'radio', name: group, 'aria-describedby': ruleId } });
  input.addEventListener('change', () => {
    if (input.checked) {
      onChoose(policy);
    }
  });
  const label = element('label', { className: 'policy-name' }, [
    input,
    element('span', { text: text(policyNames[policy]) }),
  ]);
  const rule = element('p', { className: 'note policy-rule', text: policyRule(policy), attributes: { id: ruleId } });
  return { policy, input, root: element('div', { className: 'policy' }, [label, rule]) };
}

/** What the routers do about missing experts: a choice of policies, and the numbers of each layer. */
export function createRoutingSection(context: EditorContext): EditorPart {
  let view: PlanView | undefined;
  const choose = (policy: RoutingPolicy): void => {
    const gates = view && gatesFor(policy, view);
    if (view?.editable === true && (policy === 'none' || gates !== undefined)) {
      context.edit({ kind: 'setGates', ...(gates === undefined ? {} : { gates }) });
    }
  };
  const group = uniqueId('policy');
  const choices = routingPolicies.map((policy) => createChoice(policy, group, choose));
  const radios = element(
    'div',
    { className: 'policies', attributes: { role: 'radiogroup', 'aria-label': text('planRouting') } },
    choices.map(({ root }) => root),
  );
  const warning = element('p', { className: 'note warning-line', attributes: { role: 'status' } });
  const explain = (row: number): void => {
    context.explanation.show(view && explainRouting(view, row));
  };
  const grid = createDataGrid({
    mode: 'cells',
    hint: text('planRoutingHint'),
    onMove: (position) => {
      context.state.change({ routing: position });
      explain(position.row);
    },
    onActivate: ({ row }) => explain(row),
  });
  grid.show(true);
  grid.root.addEventListener('pointerover', (event) => {
    const cell = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-row]') : null;
    if (cell !== null) {
      explain(Number(cell.dataset['row']));
    }
  });
  const numbers = createScrollArea(text('planRoutingTable'), grid.root);
  const shell = createSection(context, { name: 'routing', title: 'planRouting' }, [radios, warning, numbers]);
  let restored = false;

  function render({ plan, layers, measurements, editable }: PlanView): void {
    const chosen = policiesOf(plan);
    for (const { policy, root, input } of choices) {
      const present = chosen.includes(policy);
      root.hidden = policy !== 'none' && !present && bestKnown(policy, { plan, layers, measurements }) === undefined;
      // A plan with both corrections shows the one that decides the gates of every token; the table shows both.
      input.checked = policy === chosen[0];
      input.disabled = !editable;
    }
    const other = isForOtherNumbers({ plan, layers, measurements });
    setText(warning, other === true ? text('planRoutingOtherNumbers') : '');
    numbers.hidden = chosen[0] === 'none';
    if (!numbers.hidden) {
      grid.update({
        label: text('planRoutingTable'),
        corner: text('layerAxis'),
        columnHeaders: routingColumns(chosen),
        rowHeaders: layers.map(({ name }) => name),
        cell: (row, column) => (view === undefined ? '' : (routingCells(view, row)[column] ?? '')),
        isChosen: () => false,
      });
    }
    if (!restored && !numbers.hidden) {
      restored = true;
      grid.setPosition(context.state.current.routing);
    }
    const noScale = bestKnown('scale', { plan, layers, measurements }) === undefined;
    shell.setNote(noScale && plan.gates?.scale === undefined ? text('planRoutingMeasure') : '');
  }

  return {
    root: shell.root,
    update: (next) => {
      view = next;
      const { plan, layers, measurements } = next;
      const fits = [plan.gates?.reference, plan.gates?.scale].every(
        (each) => each === undefined || each.length === layers.length,
      );
      const known = plan.gates !== undefined || measurements.gates.length > 0;
      shell.root.hidden = layers.length === 0 || !known || !fits;
      if (!shell.root.hidden) {
        render(next);
      }
    },
    dispose: () => {
      numbers.remove();
    },
  };
}
