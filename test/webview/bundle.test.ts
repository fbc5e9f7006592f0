import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bundleWebview } from '../support/webviewBundle';

const bundleLimit = 500_000;

describe('the bundle', () => {
  test('stays under 500 kB', async () => {
    const { script, style } = await bundleWebview('webviews/dashboard/main.ts');
    console.log(
      `dashboard: ${script.length} bytes, ${gzipSync(script).length} compressed, style ${style.length} bytes`,
    );
    expect(script.length).toBeLessThan(bundleLimit);
    expect(style.length).toBeGreaterThan(1000);
  });

  test('holds no text of another page', async () => {
    const { script } = await bundleWebview('webviews/dashboard/main.ts');
    expect(script).toContain('MoE Tuner dashboard');
    expect(script).not.toMatch(/MoE Tuner plan editor|MoE Tuner playground/);
  });

  test('holds no toolkit element that the dashboard does not use', async () => {
    const { script } = await bundleWebview('webviews/dashboard/main.ts');
    // Base names under which the toolkit registers its elements.
    const registered = [...script.matchAll(/baseName:"([a-z-]+)"/g)].map(([, name]) => name);
    expect(registered.sort()).toEqual(['button', 'dropdown', 'option', 'progress-ring']);
  });
});
