import { toFloat32 } from '../../engine/checkpoint/convertDtype';
import { packBfloat16 } from '../../engine/methods/quantize/packBfloat16';
import { packCodes } from '../../engine/methods/quantize/packCodes';
import { roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import type { BenchmarkLine } from './budgets';

/** One expert matrix of a large model. */
const [rows, columns] = [2048, 4096];
const repeats = 8;

/** Source bytes (bfloat16) per second of processor time that one thread rounds and packs to 4 bits. */
export function benchmarkPacking(): BenchmarkLine[] {
  // Of both signs, from 2^-15 to 2^-4 as the weights of experts are.
  const stored = Uint16Array.from({ length: rows * columns }, (_, at) => {
    const random = Math.imul(at, 2654435761) >>> 16;
    return (random & 0x8000) | (0x3800 + (random % 0x580));
  });
  const bytes = new Uint8Array(stored.buffer);
  const general = () => {
    const matrix = { values: toFloat32('BF16', bytes), rows, columns };
    packCodes(roundToNearest(matrix, { bits: 4, group: 32, symmetric: true }).codes, 4);
  };
  return [
    { name: 'round to nearest, 4 bits, any dtype', value: speed(general, bytes.length), unit: 'GB/s' },
    {
      name: 'round to nearest, 4 bits, bfloat16',
      value: speed(() => packBfloat16(stored, 32, 4), bytes.length),
      unit: 'GB/s',
    },
  ];
}

function speed(run: () => void, bytes: number): number {
  run();
  const start = process.cpuUsage();
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    run();
  }
  const { user, system } = process.cpuUsage(start);
  return (repeats * bytes) / ((user + system) * 1000);
}

for (const { name, value, unit } of benchmarkPacking()) {
  console.log(`${name}: ${value.toPrecision(4)} ${unit} per thread`);
}
