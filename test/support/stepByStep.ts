import { beforeEach, onTestFailed } from 'vitest';

/** In a suite whose tests go on where the one before ended: after a failure the others are skipped and say why. */
export function stepByStep(): void {
  let failedStep: string | undefined;
  beforeEach((context) => {
    if (failedStep !== undefined) {
      context.skip(`the step "${failedStep}" failed`);
    }
    onTestFailed(({ task }) => {
      failedStep ??= task.name;
    });
  });
}
