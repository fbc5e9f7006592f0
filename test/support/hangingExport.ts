import { writeArtefact } from '../../engine/export/writeArtefact';
import { copyBytes, diskOutput, type ArtefactOutput } from '../../engine/export/artefactOutput';
import { quietJob } from '../../engine/measure/jobContext';

/** A program that writes an artefact and hangs halfway through its weights, to be killed there: `FOLDER SOURCE BYTES`. */
const [folder, source, bytes] = process.argv.slice(2);

const output: ArtefactOutput = {
  ...diskOutput,
  async place(file, place, copied) {
    await copyBytes(file.source, place, copied);
    process.stdout.write('halfway\n');
    return new Promise(() => setInterval(() => undefined, 1000));
  },
};

void writeArtefact(
  folder!,
  [
    { name: 'config.json', text: '{}\n' },
    { name: 'model.safetensors', source: source!, bytes: Number(bytes), shares: true },
    { name: 'tokenizer.json', source: source!, bytes: Number(bytes), shares: false },
  ],
  { job: quietJob(), verify: () => Promise.resolve(), output },
);
