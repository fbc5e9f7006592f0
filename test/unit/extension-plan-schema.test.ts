import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planJsonSchema, planSchemaFile } from '../../scripts/planJsonSchema';

const root = resolve(import.meta.dirname, '../..');

describe('the published schema of plan files', () => {
  it('is the one the protocol stands for; `npx vitest run --project unit FILE -u` writes it again', async () => {
    await expect(await planJsonSchema()).toMatchFileSnapshot(resolve(root, planSchemaFile));
  });

  it('names every field with a description and refuses unknown ones', () => {
    const schema = JSON.parse(readFileSync(resolve(root, planSchemaFile), 'utf8')) as {
      additionalProperties: boolean;
      properties: Record<string, { description?: string; items?: { minimum?: number } }>;
    };
    expect(schema.additionalProperties).toBe(false);
    expect(schema.properties['activeExperts']?.items?.minimum).toBe(1);
    for (const [name, property] of Object.entries(schema.properties)) {
      expect(property.description ?? '', name).not.toBe('');
    }
  });
});
