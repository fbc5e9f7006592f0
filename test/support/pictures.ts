import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { differenceOf, isAlike } from './compareThumbnails';
import { decodePng } from './pixels';
import type { Pixels } from './pixels';
import { encodeThumbnail, thumbnailOf } from './thumbnails';
import type { Region, Thumbnail } from './thumbnails';
import type { WebviewPage } from './webviewBrowser';
import { repository } from './webviewBundle';

/** Stored pictures, small: `test/webview/pictures/THEME/NAME.png`. How to renew them is in the README beside them. */
const stored = join(repository, 'test', 'webview', 'pictures');
/** What was seen instead, for people: the whole page and the small picture. */
const seen = join(repository, 'test-results', 'webview');

const renewing = process.env['MOE_TUNER_RENEW_PICTURES'] === '1';

/** A part of a page under the name of its picture. */
export interface PicturePart {
  readonly name: string;
  /** A selector; the whole page without one. */
  readonly selector?: string;
}

/** One screenshot of a page with the regions of its parts. */
export interface PageShot {
  readonly png: Buffer;
  readonly pixels: Pixels;
  region(selector: string | undefined): Promise<Region>;
}

export async function shoot({ page }: WebviewPage): Promise<PageShot> {
  // A caret that blinks or a transition under way would make two pictures of one page differ.
  const png = await page.screenshot({ fullPage: true, animations: 'disabled', caret: 'hide' });
  const pixels = decodePng(png);
  return {
    png,
    pixels,
    region: async (selector) => {
      if (selector === undefined) {
        return { x: 0, y: 0, width: pixels.width, height: pixels.height };
      }
      const box = await page.locator(selector).first().boundingBox();
      if (box === null) {
        throw new Error(`Nothing to take a picture of: ${selector}`);
      }
      return box;
    },
  };
}

/** One part of a page as a small picture. */
export async function thumbnailOfPart({ page }: WebviewPage, selector: string): Promise<Thumbnail> {
  const clip = await page.locator(selector).first().boundingBox();
  if (clip === null) {
    throw new Error(`Nothing to take a picture of: ${selector}`);
  }
  const pixels = decodePng(await page.screenshot({ fullPage: true, clip, animations: 'disabled', caret: 'hide' }));
  return thumbnailOf(pixels, { x: 0, y: 0, width: pixels.width, height: pixels.height });
}

/** A stored picture; undefined where there is none. */
export function storedPicture(theme: string, name: string): Thumbnail | undefined {
  const file = join(stored, theme, `${name}.png`);
  if (!existsSync(file)) {
    return undefined;
  }
  const pixels = decodePng(readFileSync(file));
  return { width: pixels.width, height: pixels.height, data: pixels.data };
}

function write(file: string, content: Buffer): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

/**
 * Compares parts of a page with their stored pictures.
 *
 * @returns one line for each that differs, with where to look; nothing while pictures are being renewed
 */
export async function pictureFindings(
  view: WebviewPage,
  theme: string,
  page: string,
  parts: readonly PicturePart[],
): Promise<string[]> {
  const shot = await shoot(view);
  write(join(seen, `${page}-${theme}.png`), shot.png);
  const findings: string[] = [];
  for (const { name, selector } of parts) {
    const shown = thumbnailOf(shot.pixels, await shot.region(selector));
    if (renewing) {
      write(join(stored, theme, `${name}.png`), encodeThumbnail(shown));
      continue;
    }
    const expected = storedPicture(theme, name);
    if (expected === undefined) {
      findings.push(`${theme}/${name}: there is no stored picture`);
      continue;
    }
    const difference = differenceOf(expected, shown);
    if (!isAlike(difference)) {
      const file = join(seen, 'pictures', theme, `${name}.png`);
      write(file, encodeThumbnail(shown));
      const numbers = Object.entries(difference).map(([key, value]) => `${key} ${Number(value).toFixed(4)}`);
      findings.push(`${theme}/${name}: ${numbers.join(', ')}; shown: ${file}`);
    }
  }
  return findings;
}
