import * as vscode from 'vscode';
import type { ExportedSection, ExportFormat } from '../../engine/protocol/exportedSection';
import { localize } from '../common/localize';

interface FormatRecord {
  readonly title: string;
  /** The bytes of the file, or undefined where the section has nothing of the kind. */
  readonly bytes: (section: ExportedSection) => Uint8Array | undefined;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What a section can be saved as, in the order of the picker. */
const formats: Readonly<Record<ExportFormat, FormatRecord>> = {
  csv: { title: 'CSV', bytes: (section) => utf8(csvOf(section)) },
  json: { title: 'JSON', bytes: (section) => utf8(jsonOf(section)) },
  png: { title: 'PNG', bytes: ({ png }) => (png === undefined ? undefined : Buffer.from(png, 'base64')) },
  svg: { title: 'SVG', bytes: ({ svg }) => (svg === undefined ? undefined : utf8(svg)) },
};

/** RFC 4180: fields with separators, quotes or line breaks are quoted. */
export function csvOf({ columns, rows }: ExportedSection): string {
  const field = (value: string | number | null): string => {
    const text = value === null ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

/** A list with one object per row. */
export function jsonOf({ columns, rows }: ExportedSection): string {
  const objects = rows.map((row) => Object.fromEntries(columns.map((column, at) => [column, row[at] ?? null])));
  return `${JSON.stringify(objects, undefined, 2)}\n`;
}

/** Asks for format and place, and saves; nothing happens where the person leaves one of the two questions. */
export async function exportSection(section: ExportedSection, folder: vscode.Uri | undefined): Promise<void> {
  const items = (Object.keys(formats) as ExportFormat[]).flatMap((format) => {
    const bytes = formats[format].bytes(section);
    return bytes === undefined ? [] : [{ label: formats[format].title, description: `.${format}`, format, bytes }];
  });
  const placeHolder = localize('Export “{name}” as…', { name: section.name });
  const picked = await vscode.window.showQuickPick(items, { placeHolder });
  if (picked === undefined) {
    return;
  }
  const name = `${section.name.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, '-')}.${picked.format}`;
  const target = await vscode.window.showSaveDialog({
    title: placeHolder,
    filters: { [picked.label]: [picked.format] },
    ...(folder === undefined ? {} : { defaultUri: vscode.Uri.joinPath(folder, name) }),
  });
  if (target === undefined) {
    return;
  }
  try {
    await vscode.workspace.fs.writeFile(target, picked.bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await vscode.window.showErrorMessage(
      localize('{file} could not be written: {reason}', { file: target.fsPath, reason }),
    );
  }
}
