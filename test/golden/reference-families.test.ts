import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  expectCapturedBlockInputs,
  expectCapturedBlockOutputs,
  expectCapturedLogits,
} from '../support/reference/checkAgainstGolden';
import { goldenFamiliesFolder, readGolden, readGoldenFolder } from '../support/reference/golden';
import { referenceModel } from '../support/reference/referenceForward';

const families = readdirSync(goldenFamiliesFolder);

it('has the eleven captured families', () => {
  expect(families).toHaveLength(11);
});

describe.each(families)('reference forward of %s', (family) => {
  const golden = readGolden(family);
  const model = referenceModel(golden.folder, golden.ids[0]!.length);

  it('gives the captured logits with the configured k and every captured k', () => {
    expectCapturedLogits(model, golden);
  });

  it('feeds every mixture block the captured input', () => {
    expectCapturedBlockInputs(model, golden);
  });

  it('gives the captured block outputs at every k, on captured and on Gaussian inputs', () => {
    expectCapturedBlockOutputs(model, golden);
  });
});

describe('reference forward of the trained task model', () => {
  const folder = join(dirname(fileURLToPath(import.meta.url)), '../../../shared/models/tasks');
  const absent = !existsSync(join(folder, 'golden.safetensors'));
  if (absent) console.warn(`Skipped: the trained task model is not at ${folder}.`);

  it.skipIf(absent)('gives the captured logits, block inputs and block outputs', () => {
    const golden = readGoldenFolder(folder);
    const model = referenceModel(folder, golden.ids[0]!.length);
    expectCapturedLogits(model, golden);
    expectCapturedBlockInputs(model, golden);
    expectCapturedBlockOutputs(model, golden);
  });
});
