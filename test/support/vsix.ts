/** Path of the package under test, which packageSetup.ts made. */
export function vsixUnderTest(): string {
  const path = process.env.MOE_TUNER_VSIX;
  if (path === undefined || path === '') {
    throw new Error(
      'MOE_TUNER_VSIX is not set: run these tests with `npm test -- e2e` or `npx vitest run --project e2e`.',
    );
  }
  return path;
}
