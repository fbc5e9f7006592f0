import path from 'node:path';
import { createServices } from '../../engine/jobs/createServices';
import type { EngineServices } from '../../engine/jobs/services';
import { engineSettingsSchema } from '../../engine/protocol/settings';

/** Threads that measurements in tests take: as many files run at once as the smallest machine has cores. */
export const testThreads = 1;

export interface TestServices {
  readonly services: EngineServices;
  /** What the cache warned about, in order. */
  readonly warnings: readonly string[];
}

/** What jobs need, on the CPU, with a cache below the given folder. */
export function testServices(folder: string): TestServices {
  const warnings: string[] = [];
  const settings = engineSettingsSchema.parse({
    provider: 'cpu',
    threads: testThreads,
    cacheDirectory: path.join(folder, 'cache'),
  });
  // No probe runs: the CPU is named.
  const services = createServices(settings, folder, (message) => warnings.push(message));
  return { services, warnings };
}
