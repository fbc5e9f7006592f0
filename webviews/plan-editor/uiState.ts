import * as z from 'zod';
import { lossTableNames } from '../../engine/protocol/planEditor';
import { PageStateStore } from '../ui-kit/uiStateStore';

/** The sections of the plan editor, in the order in which they stand. */
export const sectionNames = ['budgets', 'experts', 'quantization', 'routing', 'evaluate'] as const;

/** What the person has arranged in this editor. Kept by VS Code while it is hidden; never holds numbers of the plan. */
export const uiStateSchema = z.object({
  collapsed: z.array(z.enum(sectionNames)).default([]),
  tables: z.array(z.enum(sectionNames)).default([]),
  /** Table behind the bars; the most trustworthy one when absent. */
  lossTable: z.enum(lossTableNames).optional(),
  /** Layer that has the cursor, and the layers that are selected, by position. */
  layer: z.number().int().min(0).default(0),
  selected: z.array(z.number().int().min(0)).default([]),
  /** Score that colours the experts; that of the plan's method when absent. */
  score: z.string().optional(),
  /** Cursors of the grids. */
  expert: z.object({ row: z.number().int().min(0), column: z.number().int().min(0) }).default({ row: 0, column: 0 }),
  bits: z.object({ row: z.number().int().min(0), column: z.number().int().min(0) }).default({ row: 0, column: 0 }),
  routing: z.object({ row: z.number().int().min(0), column: z.number().int().min(0) }).default({ row: 0, column: 0 }),
  /** What the grid of bits shows. */
  bitsShown: z.enum(['projections', 'gate', 'up', 'down']).default('projections'),
  /** End time of the evaluation that is shown; the newest when absent. */
  evaluation: z.string().optional(),
  scroll: z.number().default(0),
});

export type SectionName = (typeof sectionNames)[number];
export type UiState = z.infer<typeof uiStateSchema>;

/** Keeps the state of this page. */
export class UiStateStore extends PageStateStore<UiState> {
  constructor(saved: unknown, write: (state: UiState) => void) {
    super(uiStateSchema, saved, write);
  }
}
