import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { openResolved, testRuntime } from '../support/engineRun';
import { writeSparseSafetensors, type ZeroTensor } from '../support/sparseSafetensors';
import { temporaryFolder } from '../support/temporaryFolder';

const hidden = 1024;
const experts = 256;

/** Elsewhere a file of zeros may take its length on the disk. */
const sparseFiles = process.platform === 'linux';

test.runIf(sparseFiles)('a layer that is larger than the memory of the machine runs', async () => {
  const folder = await temporaryFolder();
  const width = Math.ceil((1.2 * os.totalmem()) / (experts * 3 * 2 * hidden));
  const block = 'model.layers.0.block_sparse_moe';
  writeSparseSafetensors(path.join(folder, 'model.safetensors'), [
    [`${block}.gate.weight`, 'BF16', [experts, hidden]],
    ...Array.from({ length: experts }, (_, expert): ZeroTensor[] => [
      [`${block}.experts.${expert}.w1.weight`, 'BF16', [width, hidden]],
      [`${block}.experts.${expert}.w3.weight`, 'BF16', [width, hidden]],
      [`${block}.experts.${expert}.w2.weight`, 'BF16', [hidden, width]],
    ]).flat(),
  ]);
  const config = {
    model_type: 'mixtral',
    vocab_size: 16,
    hidden_size: hidden,
    num_hidden_layers: 1,
    num_local_experts: experts,
    num_experts_per_tok: 1,
  };
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  const { blocks } = await openResolved(folder);
  const output = await runBlock(blocks[0]!, new Float32Array(hidden).fill(1), 1, testRuntime, quietJob());
  expect(output).toEqual(new Float32Array(hidden));
});
