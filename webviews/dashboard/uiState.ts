import * as z from 'zod';
import { PageStateStore } from '../ui-kit/uiStateStore';

/** The sections of the dashboard, in the order in which they stand. */
export const sectionNames = [
  'sensitivity',
  'budget',
  'front',
  'evaluation',
  'compare',
  'utilisation',
  'plans',
] as const;
export const measureNames = ['raw', 'relativeSquared'] as const;

/** What the person has arranged in this view. Kept by VS Code while the view is hidden; never holds results. */
export const uiStateSchema = z.object({
  collapsed: z.array(z.enum(sectionNames)).default([]),
  tables: z.array(z.enum(sectionNames)).default([]),
  measure: z.enum(measureNames).default('raw'),
  /** Cursor of the heat map: row of the layer, column of k - 1. */
  cell: z.object({ row: z.number().int().min(0), column: z.number().int().min(0) }).default({ row: 0, column: 0 }),
  budgetRow: z.number().int().min(0).default(0),
  /** Cursor of the front: total of active experts; the plan's own when absent. */
  frontTotal: z.number().int().positive().optional(),
  /** End time of the evaluation that is shown; the newest when absent. */
  evaluation: z.string().optional(),
  /** View of the utilisation map: the index of a layer, or all of them. */
  utilisation: z.string().default('all'),
  /** End times of the evaluations that are compared. */
  compared: z.array(z.string()).default([]),
});

export type SectionName = (typeof sectionNames)[number];
export type MeasureName = (typeof measureNames)[number];
export type UiState = z.infer<typeof uiStateSchema>;

/** Keeps the state of this page. */
export class UiStateStore extends PageStateStore<UiState> {
  constructor(saved: unknown, write: (state: UiState) => void) {
    super(uiStateSchema, saved, write);
  }
}
