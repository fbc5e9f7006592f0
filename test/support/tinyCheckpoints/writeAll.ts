import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tinyTokens } from './tinyCheckpoint';
import { tinyCheckpoints } from './tinyCheckpoints';
import { writeTinyCheckpoint } from './writeTinyCheckpoint';

/** Command line: writes every tiny checkpoint below the given folder, for `test/golden/transformers/capture.py`. */
const folder = process.argv[2];
if (folder === undefined) throw new Error('Give the folder to write the checkpoints into.');
for (const checkpoint of tinyCheckpoints) writeTinyCheckpoint(checkpoint, join(folder, checkpoint.name));
writeFileSync(join(folder, 'tokens.json'), JSON.stringify(tinyTokens));
