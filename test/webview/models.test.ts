import { describe, expect, test } from 'vitest';
import { cividisTable } from '../../webviews/charts/colourScale';
import { cellArea, cellAt, cellsHeight } from '../../webviews/charts/heatMapGeometry';
import { paintValues, valueRange } from '../../webviews/charts/heatMapValues';
import { evidenceModelOf } from '../../webviews/dashboard/evidenceModel';
import { drawnDivergences, frontChartData, frontColumns, frontModelOf } from '../../webviews/dashboard/frontModel';
import { evaluationGroups } from '../../webviews/dashboard/evaluationModel';
import { heatMapOf } from '../../webviews/dashboard/sensitivityModel';
import { text } from '../../webviews/strings';
import { moveByKey, stretchStart } from '../../webviews/ui-kit/gridCursor';
import { formatBytes, formatMeasured, setNumberLanguage } from '../../webviews/ui-kit/numbers';
import { budget, evaluations, measuredRuns, profile, searchedBudget } from '../support/webviewSnapshots';

describe('the colour table', () => {
  const table = cividisTable();
  /** Relative luminance as WCAG 2 defines it. */
  const luminance = (step: number): number => {
    const [red, green, blue] = [0, 1, 2].map((channel) => {
      const share = table[step * 3 + channel]! / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
  };

  test('grows lighter with every step, so that it can be read without colours', () => {
    for (let step = 4; step < 256; step += 4) {
      expect(luminance(step)).toBeGreaterThan(luminance(step - 4));
    }
  });

  test('runs from the dark blue to the light yellow of cividis', () => {
    expect([...table.slice(0, 3)]).toEqual([0, 32, 81]);
    const [red, green, blue] = table.slice(-3);
    expect(Math.abs(red! - 253)).toBeLessThan(4);
    expect(Math.abs(green! - 234)).toBeLessThan(4);
    expect(Math.abs(blue! - 69)).toBeLessThan(4);
  });
});

describe('the cells of a heat map', () => {
  const area = { left: 30, top: 10, width: 160, height: 60 };
  const size = { rows: 6, columns: 8 };

  test('the middle of every cell hits that cell', () => {
    for (let row = 0; row < size.rows; row += 1) {
      for (let column = 0; column < size.columns; column += 1) {
        const cell = cellArea(area, size, { row, column });
        expect(cellAt(area, size, cell.left + cell.width / 2, cell.top + cell.height / 2)).toEqual({ row, column });
      }
    }
  });

  test('points outside hit nothing', () => {
    const outside = [
      [29.9, 20],
      [190.1, 20],
      [40, 9.9],
      [40, 70.1],
    ] as const;
    for (const [x, y] of outside) {
      expect(cellAt(area, size, x, y)).toBeUndefined();
    }
    expect(cellAt({ left: 0, top: 0, width: 0, height: 0 }, size, 0, 0)).toBeUndefined();
  });

  test('no row is ever lower than four pixels', () => {
    for (const rows of [1, 8, 24, 58, 94, 200]) {
      expect(cellsHeight(rows) / rows).toBeGreaterThanOrEqual(4);
    }
  });

  test('values that were not measured are transparent and leave the range alone', () => {
    const map = { rows: 2, columns: 2, values: Float64Array.of(2, Number.NaN, 4, 3) };
    const range = valueRange(map)!;
    expect(range).toEqual({ minimum: 2, maximum: 4, mean: 3, largest: { row: 1, column: 0 } });
    const pixels = new Uint8ClampedArray(16);
    const table = cividisTable();
    paintValues(map, range, table, pixels);
    expect([...pixels.slice(0, 4)]).toEqual([...table.slice(0, 3), 255]);
    expect(pixels[7]).toBe(0);
    expect([...pixels.slice(8, 12)]).toEqual([...table.slice(-3), 255]);
    expect(valueRange({ ...map, values: new Float64Array(4).fill(Number.NaN) })).toBeUndefined();
  });

  test('equal values everywhere are one colour, not a division by zero', () => {
    const map = { rows: 1, columns: 2, values: Float64Array.of(5, 5) };
    const pixels = new Uint8ClampedArray(8);
    paintValues(map, valueRange(map)!, cividisTable(), pixels);
    expect([...pixels.slice(0, 4)]).toEqual([...pixels.slice(4)]);
    expect(pixels[3]).toBe(255);
  });
});

describe('grids', () => {
  test('no key leaves the grid', () => {
    const size = { rows: 3, columns: 4 };
    const keys = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'PageUp', 'PageDown', 'Home', 'End'];
    for (const mode of ['cells', 'rows'] as const) {
      for (const key of keys) {
        for (let cell = 0; cell < 12; cell += 1) {
          const from = { row: Math.floor(cell / 4), column: cell % 4 };
          const to = moveByKey(from, key, cell % 2 === 0, size, mode)!;
          expect(to.row >= 0 && to.row < 3 && to.column >= 0 && to.column < 4).toBe(true);
        }
      }
    }
    expect(moveByKey({ row: 0, column: 0 }, 'a', false, size, 'cells')).toBeUndefined();
  });

  test('the stretch in the page always holds the cursor, and rests while it can', () => {
    let start = 0;
    let moves = 0;
    for (let cursor = 0; cursor < 100; cursor += 1) {
      const next = stretchStart(cursor, 100, 16, start);
      moves += next === start ? 0 : 1;
      start = next;
      expect(cursor).toBeGreaterThanOrEqual(start);
      expect(cursor).toBeLessThan(start + 16);
      expect(start + 16).toBeLessThanOrEqual(100);
    }
    expect(moves).toBeLessThan(13);
  });
});

describe('the models behind the sections', () => {
  test('a layer without profile values is not measured, and a budget above the profile is cut', () => {
    const short = { ...profile, layers: profile.layers.map((layer) => ({ ...layer, raw: layer.raw.slice(0, 3) })) };
    const map = heatMapOf(short, { ...budget, activeExperts: budget.activeExperts.map(() => 99) }, 'raw');
    expect(map.values[2]).toBeCloseTo(0.3033);
    expect(map.values[3]).toBeNaN();
    expect(map.chosen).toEqual(profile.layers.map(() => 7));
  });

  test('a budget for other layers marks nothing in their place', () => {
    const map = heatMapOf(profile, { ...budget, layers: budget.layers.map((layer) => layer + 6) }, 'raw');
    expect(map.chosen!.slice(0, 6)).toEqual(Array(6).fill(-1));
    expect(map.chosen!.slice(6)).toEqual(budget.activeExperts.slice(0, 6).map((k) => k - 1));
  });

  test('the front takes measurements of this model alone, the newest of each cost', () => {
    const again = { ...evaluations[1]!, geometricMeanPerplexity: 10, baselineGeometricMeanPerplexity: 8 };
    const other = { ...evaluations[1]!, activeExperts: [1, 2, 3] };
    const baseline = { ...evaluations[1]!, baseline: true };
    const model = frontModelOf(budget, [...evaluations, again, other, baseline]);
    expect(model.unit).toBe('perplexity');
    expect(model.measured.map(({ x }) => x)).toEqual([3, 5]);
    expect(model.rows[model.chosen]).toMatchObject({ total: 60, measured: 25 });
  });

  test('without perplexities the front shows lost accuracy', () => {
    const onTasks = evaluations.map((run) => {
      const onTask = { ...run, datasets: {} };
      delete onTask.geometricMeanPerplexity;
      delete onTask.baselineGeometricMeanPerplexity;
      return onTask;
    });
    const model = frontModelOf(budget, onTasks);
    expect(model.unit).toBe('accuracy');
    expect(model.measured[0]!.y).toBeCloseTo(0.1);
    expect(evaluationGroups(onTasks[0]!).map(({ title }) => title)).toEqual(['Task accuracy']);
  });
});

describe('what a search measured', () => {
  test('divergences share the axis of predictions that are divergences, and keep off it otherwise', () => {
    const searched = frontChartData(frontModelOf(searchedBudget, evaluations, measuredRuns));
    expect(searched.divergenceAxis).toBe('predicted');
    expect(searched.predictedTitle).toBe('KL, nats per token');
    expect(searched.measuredTitle).toBe('Perplexity change %');
    const other = frontModelOf({ ...budget, calibrationTokens: 24576 }, [], measuredRuns);
    expect(frontChartData(other)).toMatchObject({ divergenceAxis: 'measured', measuredTitle: 'KL, nats per token' });
    const both = frontModelOf({ ...budget, calibrationTokens: 24576 }, evaluations, measuredRuns);
    expect(drawnDivergences(both)).toEqual([]);
    expect(frontColumns(both)).toContain('Measured KL');
  });

  test('every run gives its choice, the newest all its candidates, each on the row of its cost', () => {
    const model = frontModelOf(searchedBudget, [], measuredRuns);
    const taken = model.divergences.filter(({ kind }) => kind === 'taken');
    expect(taken.map(({ x }) => x)).toEqual([2, 3, 6, 5]);
    expect(taken.map(({ row }) => model.rows[row]!.total)).toEqual([24, 36, 72, 60]);
    expect(model.divergences.filter(({ kind }) => kind === 'control')).toHaveLength(3);
    expect(model.divergences.filter(({ kind }) => kind === 'candidate')).toHaveLength(4);
    expect(model.rows.find(({ total }) => total === 60)?.kl).toBe(searchedBudget.measured!.kl);
    expect(model.plan?.y).toBe(searchedBudget.predicted);
  });

  test('divergences on other texts or of other layers do not stand beside them', () => {
    const foreign = [
      { ...measuredRuns[0]!, calibrationTokens: 512 },
      { ...measuredRuns[1]!, layers: [0, 1] },
    ];
    const model = frontModelOf(searchedBudget, [], foreign);
    expect(model.divergences.filter(({ kind }) => kind === 'taken')).toHaveLength(1);
  });

  test('the evidence names what was taken, marks controls and numbers what has one name', () => {
    const evidence = evidenceModelOf(searchedBudget, measuredRuns)!;
    expect(evidence.rows[0]).toMatchObject({ name: 'search', chosen: true, control: false });
    expect(evidence.rows.filter(({ chosen }) => chosen)).toHaveLength(1);
    expect(evidence.rows.filter(({ control }) => control).map(({ name }) => name)).toEqual([
      'uniform',
      'random 1',
      'random 2',
    ]);
    expect(evidence.sentences.join(' ')).toMatch(/“search” was taken: .* below uniform, on 24,576 calibration tokens/);
    expect(evidence.sentences.at(-1)).toContain('0.93');
  });

  test('a candidate without a measurement and a stopped search are told', () => {
    const candidates = searchedBudget.candidates!.map((one, at) => (at > 3 ? { ...one, measured: null } : one));
    const evidence = evidenceModelOf({ ...searchedBudget, candidates, interrupted: true }, [])!;
    expect(evidence.rows.at(-1)!.cells.slice(1)).toEqual(['–', '–']);
    expect(evidence.sentences[0]).toContain('stopped');
    expect(evidence.sentences[1]).not.toContain('uniform');
  });

  test('a plan that was only predicted keeps the evidence of the last search, which says of what it is', () => {
    const evidence = evidenceModelOf(budget, measuredRuns)!;
    expect(evidence.caption).toBe('Candidates at 6.00 active experts on average');
    expect(evidence.sentences.at(-1)).toContain('72 active experts in total');
    expect(evidenceModelOf(budget, [])).toBeUndefined();
  });
});

describe('texts and numbers', () => {
  test('placeholders are filled, and text that looks like one stays', () => {
    expect(text('columnDataset')).toBe('Dataset');
    expect(text('factExpertsValue', { active: '{k}', experts: 8 })).toBe('{k} of 8 active');
  });

  test('numbers follow the language of the window', () => {
    setNumberLanguage('de');
    expect(formatMeasured(1.05)).toBe('1,05');
    setNumberLanguage('not a language');
    expect(formatMeasured(1.05)).toBe('1.05');
    expect(formatMeasured(0)).toBe('0');
    expect(formatMeasured(0.0000123)).toBe('1.23E-5');
    expect(formatBytes(999)).toBe('999\u00a0B');
    expect(formatBytes(56_345_088)).toBe('56.3\u00a0MB');
    expect(formatBytes(2.5e15)).toBe('2,500\u00a0TB');
  });
});
