import type { FamilyRecord } from '../familyRecord';
import { experts, sharedNetwork, sigmoidGroupRouter, siluByConfig, standardDecoder } from '../stems';

/** DeepSeek-V3 and R1 (arXiv 2412.19437), Kimi-K2 (arXiv 2507.20534). */
export const deepseekV3: FamilyRecord = {
  name: 'deepseek_v3',
  title: 'DeepSeek-V3 / Kimi-K2',
  modelTypes: ['deepseek_v3', 'kimi_k2'],
  architectures: ['DeepseekV3ForCausalLM'],
  router: sigmoidGroupRouter,
  experts: [experts.projections('mlp')],
  activation: siluByConfig,
  shared: sharedNetwork('mlp.shared_experts'),
  decoder: {
    ...standardDecoder,
    mixer: {
      kind: 'latent',
      rotary: {
        pairing: 'interleaved',
        interleavedWhen: { keys: ['rope_interleave'], absent: true },
        defaultTheta: 10000,
      },
    },
  },
};
