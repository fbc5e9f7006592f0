import { collectTexts } from '../../scripts/texts.mjs';

const accents: Readonly<Record<string, string>> = { a: 'á', e: 'é', i: 'í', o: 'ó', u: 'ú' };

/** An invented language: every text in brackets and with accents, placeholders as they are. What lacks them was never translated. */
export function pseudoText(english: string): string {
  return `⟦${english.replace(/\{\w+\}|[aeiou]/g, (match) => accents[match] ?? match)}⟧`;
}

/** All texts of extension and webviews in the invented language, in the format of VS Code's bundles. */
export function pseudoBundle(): Readonly<Record<string, string>> {
  return Object.fromEntries(collectTexts().texts.map((english) => [english, pseudoText(english)]));
}

/** What stands outside all brackets; a translated text may hold others as its values. */
export function untranslated(shown: string): string {
  let rest = shown;
  for (let before = ''; before !== rest;) {
    before = rest;
    rest = rest.replace(/⟦[^⟦⟧]*⟧/g, '');
  }
  return rest;
}
