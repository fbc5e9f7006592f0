/** Turns an English sentence with named placeholders into the person's language. */
export type Translator = (message: string, values: Record<string, string | number>) => string;

/** Fills in the placeholders and keeps the English. */
export function fillIn(message: string, values: Record<string, string | number>): string {
  return message.replaceAll(/\{(\w+)\}/g, (placeholder, name: string) => String(values[name] ?? placeholder));
}

let translator: Translator = fillIn;

/** Called once by the composition root with the editor's translator; tests run in English without it. */
export function useTranslator(next: Translator): void {
  translator = next;
}

/** A whole sentence for a person: `localize('{active} of {experts} experts active', { active, experts })`. */
export function localize(message: string, values: Record<string, string | number> = {}): string {
  return translator(message, values);
}
