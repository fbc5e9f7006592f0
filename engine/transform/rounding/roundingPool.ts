import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { TunerError } from '../../protocol/errors';
import type { RoundedBytes, Rounder, RoundingTask } from './roundingTask';
import { roundRows } from './roundRows';
import type { RoundingReply } from './serveRounding';

/** More threads wait for the disk. */
const mostWorkers = 4;
/** Tasks that a thread has at once: it reads one while it computes the other. */
const tasksOfWorker = 2;

/** Name of the threads' program beside the bundle that starts them. */
const workerName = 'roundingWorker.js';

interface Waiting {
  readonly task: RoundingTask;
  readonly resolve: (results: readonly RoundedBytes[]) => void;
  readonly reject: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly tasks: Map<number, Waiting>;
}

/** Threads that round. They start when there is work for them; dispose the pool to end them. */
export class RoundingPool implements Rounder {
  /** One task more than each thread has is being written. */
  readonly capacity: number;
  private readonly threads = new Set<Thread>();
  private readonly waiting: Waiting[] = [];
  private started = 0;
  private disposed = false;

  /** @param program of the threads: a bundle that calls `serveRounding` */
  constructor(
    private readonly program: string,
    private readonly size = Math.min(os.availableParallelism(), mostWorkers),
  ) {
    this.capacity = size * (tasksOfWorker + 1);
  }

  run(task: RoundingTask): Promise<readonly RoundedBytes[]> {
    if (this.disposed) {
      return Promise.reject(ended());
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ task, resolve, reject });
      this.feed();
    });
  }

  /** Ends the threads; tasks that are under way are rejected. */
  async dispose(): Promise<void> {
    this.disposed = true;
    const open = [...this.waiting.splice(0), ...[...this.threads].flatMap(({ tasks }) => [...tasks.values()])];
    open.forEach(({ reject }) => reject(ended()));
    const threads = [...this.threads];
    this.threads.clear();
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
  }

  private feed(): void {
    while (this.waiting.length > 0) {
      const idlest = [...this.threads].sort((left, right) => left.tasks.size - right.tasks.size)[0];
      const busy = idlest === undefined || idlest.tasks.size > 0;
      const thread = busy && this.threads.size < this.size ? this.start() : idlest!;
      if (thread.tasks.size >= tasksOfWorker) {
        return;
      }
      const next = this.waiting.shift()!;
      this.started += 1;
      thread.tasks.set(this.started, next);
      thread.worker.ref();
      thread.worker.postMessage({ id: this.started, task: next.task });
    }
  }

  private start(): Thread {
    const worker = new Worker(this.program);
    const thread: Thread = { worker, tasks: new Map() };
    this.threads.add(thread);
    worker.on('message', (reply: RoundingReply) => {
      const waiting = thread.tasks.get(reply.id);
      thread.tasks.delete(reply.id);
      if (thread.tasks.size === 0) {
        // A thread that nobody waits for does not keep the process alive.
        worker.unref();
      }
      if ('failure' in reply) {
        const { code, message, details } = reply.failure;
        waiting?.reject(new TunerError(code, message, details));
      } else {
        waiting?.resolve(reply.results);
      }
      this.feed();
    });
    worker.on('error', (cause) => this.lose(thread, cause));
    worker.on('exit', () => this.lose(thread, undefined));
    return thread;
  }

  /** A thread that ended by itself fails its tasks; others go on. */
  private lose(thread: Thread, cause: unknown): void {
    if (!this.threads.delete(thread)) {
      return;
    }
    const message = 'A thread that rounds weights ended.';
    const wayOut = 'Close other programs if memory is short, and try again.';
    thread.tasks.forEach(({ reject }) => reject(new TunerError('internal', message, { wayOut }, { cause })));
    this.feed();
  }
}

/** Carries tasks out in the calling thread: where the program of the threads is not there, as in an engine that is not bundled. */
const roundHere: Rounder = { capacity: tasksOfWorker, run: roundRows };

/** A rounder until it is given back. */
export interface LeasedRounder extends Rounder {
  /** To be called once. */
  release(): Promise<void>;
}

let shared: { readonly pool: RoundingPool; leases: number } | undefined;
let chosenProgram: string | undefined;

/** Chooses the program of the threads of later leases; undefined looks beside the running bundle again. */
export function useRoundingProgram(file: string | undefined): void {
  chosenProgram = file;
}

/** The threads of this process, which all holders share; they end with the last lease. */
export function leaseRounder(): LeasedRounder {
  if (shared === undefined) {
    const program = chosenProgram ?? programBesideBundle();
    if (program === undefined) {
      return { ...roundHere, release: () => Promise.resolve() };
    }
    shared = { pool: new RoundingPool(program), leases: 0 };
  }
  const held = shared;
  held.leases += 1;
  return {
    capacity: held.pool.capacity,
    run: (task) => held.pool.run(task),
    release: async () => {
      held.leases -= 1;
      if (held.leases === 0) {
        shared = undefined;
        await held.pool.dispose();
      }
    },
  };
}

/** Parts that several programs share lie in a folder below them. */
function programBesideBundle(): string | undefined {
  const folder = path.dirname(fileURLToPath(import.meta.url));
  return [folder, path.dirname(folder)].map((each) => path.join(each, workerName)).find((file) => existsSync(file));
}

function ended(): TunerError {
  return new TunerError('cancelled', 'The rounding was ended.');
}
