import { existsSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { ensureBrowser } from '../../scripts/support/browser.mjs';

/** Files of the software Vulkan driver that Chromium brings along. */
const driver = 'vk_swiftshader_icd.json';
const loader = 'libvulkan.so.1';

/**
 * Environment in which a process finds a Vulkan device that is computed by the processor: Chromium's driver, and its loader
 * through a folder of its own, so that no other library of Chromium is found. Undefined, with the reason, where there is none.
 * @param scratch folder for the link to the loader
 */
export async function softwareVulkan(
  scratch: string,
): Promise<{ readonly environment: NodeJS.ProcessEnv } | { readonly missing: string }> {
  if (process.platform !== 'linux') {
    return { missing: `software Vulkan is set up on Linux only, not on ${process.platform}` };
  }
  let browser: string;
  try {
    browser = await ensureBrowser();
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
  const folders = [path.dirname(realpathSync(browser)), '/usr/lib/chromium', '/usr/lib/chromium-browser'];
  const folder = folders.find((place) => [driver, loader].every((file) => existsSync(path.join(place, file))));
  if (folder === undefined) {
    return { missing: `Chromium has no ${driver} and ${loader} in ${folders.join(', ')}` };
  }
  const libraries = path.join(scratch, 'vulkan');
  mkdirSync(libraries, { recursive: true });
  symlinkSync(path.join(folder, loader), path.join(libraries, loader));
  return {
    environment: { ...process.env, LD_LIBRARY_PATH: libraries, VK_ICD_FILENAMES: path.join(folder, driver) },
  };
}
