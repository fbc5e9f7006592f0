import { packageExtension, thisPlatform } from '../../scripts/package.mjs';
import { testResults } from '../../scripts/support/paths.mjs';

/** Packages the extension once for all end-to-end tests of a run. MOE_TUNER_VSIX names a package made elsewhere. */
export async function setup(): Promise<void> {
  process.env.MOE_TUNER_VSIX ||= await packageExtension(thisPlatform, testResults);
}
