import type { PlanFront } from '../../engine/protocol/planEditor';
import { text } from '../strings';
import { element, setText, uniqueId } from '../ui-kit/elements';
import { formatDecimals, formatInteger, formatMeasured, formatShare } from '../ui-kit/numbers';

type FrontPoint = PlanFront['points'][number];

/** Where the plan is and where the front is. */
export interface SliderPicture {
  readonly front: PlanFront | undefined;
  readonly total: number;
  readonly predicted: number | undefined;
  readonly editable: boolean;
  /** Whether there is a table of losses, so that a front is there or on its way. */
  readonly solvable: boolean;
  /** Why there is no front to slide along, where there is none. */
  readonly obstacle: string | undefined;
}

export interface FrontSliderOptions {
  /** The person slides over a point: shown, not yet decided. */
  readonly onPreview: (point: FrontPoint) => void;
  /** The person let go, or pressed a key: this point is the plan. */
  readonly onTake: (point: FrontPoint) => void;
}

export interface FrontSlider {
  readonly root: HTMLElement;
  update(picture: SliderPicture): void;
}

function nearestPoint(points: readonly FrontPoint[], total: number): number {
  let best = 0;
  points.forEach((point, at) => {
    if (Math.abs(point.total - total) < Math.abs((points[best]?.total ?? 0) - total)) {
      best = at;
    }
  });
  return best;
}

/** Losses closer than this share are the same: sums in another order differ in the last digits. */
const sameLoss = 1e-9;

/** How far the plan is from the best of its total. */
function standing(point: FrontPoint | undefined, { total, predicted }: SliderPicture): string {
  if (point === undefined || point.total !== total || point.predicted === null || predicted === undefined) {
    return '';
  }
  const excess = predicted - point.predicted;
  if (excess <= sameLoss * Math.max(1e-12, Math.abs(point.predicted))) {
    return text('planOnFront');
  }
  return point.predicted > 0
    ? text('planAboveFront', { share: formatShare(excess / point.predicted) })
    : text('planAboveFrontBy', { value: formatMeasured(excess) });
}

function pointText(point: FrontPoint): string {
  const values = { total: formatInteger(point.total), average: formatDecimals(point.average, 2) };
  return point.predicted === null
    ? text('planPoint', values)
    : text('planPointPredicted', { ...values, predicted: formatMeasured(point.predicted) });
}

/** A slider along the best allocations: every position is a whole plan, solved before. */
export function createFrontSlider({ onPreview, onTake }: FrontSliderOptions): FrontSlider {
  const id = uniqueId('front');
  const input = element('input', { className: 'front-range', attributes: { type: 'range', min: '0', step: '1', id } });
  const label = element('label', { text: text('planFrontLabel'), attributes: { for: id } });
  const output = element('output', { className: 'front-output', attributes: { for: id } });
  const place = element('span', { className: 'front-standing' });
  const obstacle = element('p', { className: 'note' });
  const sliding = element('div', { className: 'front-slider' }, [label, input, output, place]);
  const root = element('div', { className: 'front-part' }, [sliding, obstacle]);
  let points: readonly FrontPoint[] = [];
  let held = false;

  const show = (point: FrontPoint | undefined): void => {
    const value = point === undefined ? '' : pointText(point);
    setText(output, value);
    input.setAttribute('aria-valuetext', value);
  };
  const current = (): FrontPoint | undefined => points[Number(input.value)];
  input.addEventListener('input', () => {
    held = true;
    const point = current();
    show(point);
    if (point !== undefined) {
      onPreview(point);
    }
  });
  input.addEventListener('change', () => {
    held = false;
    const point = current();
    if (point !== undefined) {
      onTake(point);
    }
  });
  return {
    root,
    update: (picture) => {
      points = picture.front?.points ?? [];
      // While it is solved anew it stays where it is and waits.
      sliding.hidden = !picture.solvable;
      setText(obstacle, picture.obstacle ?? '');
      input.disabled = !picture.editable || points.length < 2;
      if (points.length === 0) {
        setText(output, picture.obstacle === undefined && picture.solvable ? text('planSolving') : '');
        setText(place, '');
        return;
      }
      input.max = String(Math.max(0, points.length - 1));
      const at = nearestPoint(points, picture.total);
      if (!held) {
        input.value = String(at);
        show(points[at]);
      }
      setText(place, standing(points[at], picture));
    },
  };
}
