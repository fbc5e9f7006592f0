import * as z from 'zod';

/** What a section of a dashboard can be saved as. */
export const exportFormats = ['png', 'svg', 'csv', 'json'] as const;

/** A section as data: its table, and its chart where it has one. The person chooses the format in the editor. */
export const exportedSectionSchema = z.object({
  /** For the file name and the title of the dialog. */
  name: z.string(),
  /** Base64 without prefix. */
  png: z.string().optional(),
  svg: z.string().optional(),
  columns: z.array(z.string()),
  rows: z.array(z.array(z.union([z.string(), z.number(), z.null()]))),
});

export type ExportFormat = (typeof exportFormats)[number];
export type ExportedSection = z.infer<typeof exportedSectionSchema>;
