import { format } from 'prettier';
import * as z from 'zod';
import { planSchema, planVersion } from '../engine/protocol/plan';

/** Where the schema of plan files lies in the repository and in the packaged extension. */
export const planSchemaFile = `media/schemas/moeplan-${planVersion}.schema.json`;

/** What an editor inserts for a fresh plan; the placeholders are Tab stops, and the caret leaves out the quotes. */
const planSnippet = {
  label: 'MoE plan',
  description: 'Active experts per MoE layer',
  body: { version: planVersion, activeExperts: ['^${1:4}', '^${2:4}'] },
};

/** The JSON schema of plan files as text, generated from the schema that engine and editor validate with. */
export function planJsonSchema(): Promise<string> {
  const schema = z.toJSONSchema(planSchema, { io: 'input', target: 'draft-7' });
  const published = {
    ...schema,
    title: 'MoE Tuner plan',
    description: 'Decisions about one mixture-of-experts checkpoint: how many experts each layer uses.',
    defaultSnippets: [planSnippet],
  };
  return format(JSON.stringify(published), { parser: 'json', printWidth: 120 });
}
