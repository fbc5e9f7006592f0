import { parentPort } from 'node:worker_threads';
import { roundRows } from './transform/rounding/roundRows';
import { serveRounding } from './transform/rounding/serveRounding';

// Entry of the threads that round weights; `RoundingPool` starts them.
serveRounding(parentPort!, roundRows);
