import { Emitter, type CancellationToken, type Event } from 'vscode-jsonrpc/node';
import type * as z from 'zod';
import type { EngineState } from '../../engine/protocol/dashboard';
import { cancelledError, toTunerError, TunerError } from '../../engine/protocol/errors';
import { engineRequests, type EngineRequests } from '../../engine/protocol/messages';
import type { EngineSettings } from '../../engine/protocol/settings';
import { localize } from '../common/localize';
import type { Log } from '../common/log';
import { DeadlineWatch } from './deadlineWatch';
import * as errors from './engineErrors';
import { EngineProcess, type EngineLaunch } from './engineProcess';
import { handshake } from './handshake';
import { listenToNotifications } from './notifications';
import {
  onCancelled,
  PendingJobs,
  type GenerationListener,
  type PendingJob,
  type ProgressListener,
} from './pendingJobs';

export type EngineRequestName = Exclude<keyof EngineRequests, 'initialize'>;
export type EngineParams<Name extends EngineRequestName> = z.input<EngineRequests[Name]['params']>;
export type EngineResult<Name extends EngineRequestName> = z.output<EngineRequests[Name]['result']>;

export interface EngineStatus {
  readonly state: EngineState;
  readonly message?: string | undefined;
}

export interface RequestOptions {
  readonly token?: CancellationToken | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly onGenerated?: GenerationListener | undefined;
}

/** Time limits of the supervisor, in seconds. */
export const defaultLimits = {
  /** From the start of the process to the answer of the handshake. */
  start: 30,
  /** Between two messages of an engine that has work and runs no step. */
  silence: 180,
  /** From the end of the running step to the answer of a cancelled request. */
  cancelGrace: 5,
  /** Wait before the second start after a failed one; doubles with every further failure. */
  startBackoff: 1,
  startBackoffLimit: 8,
};

export interface SupervisorOptions {
  readonly launch: () => EngineLaunch;
  readonly settings: () => EngineSettings;
  /** Name and version of the client, for the engine's log. */
  readonly client: string;
  readonly log: Log;
  readonly limits?: Partial<typeof defaultLimits>;
}

interface RunningEngine {
  readonly process: EngineProcess;
  readonly watch: DeadlineWatch;
  /** Set once when the engine ends: why. */
  endedBy?: TunerError;
}

/** The error that each waiting job of an ended engine gets. */
type Verdict = (job: PendingJob) => TunerError;

/**
 * Owns the engine process: starts it on the first request, ends it when it stops responding, and answers every
 * request, with an error that says what happened where the engine could not.
 */
export class EngineSupervisor {
  readonly onDidChangeStatus: Event<EngineStatus>;

  private readonly statusEmitter = new Emitter<EngineStatus>();
  private readonly limits: typeof defaultLimits;
  private readonly pending = new PendingJobs(() => this.pendingChanged());
  private current: RunningEngine | undefined;
  private starting: Promise<RunningEngine> | undefined;
  private currentStatus: EngineStatus = { state: 'stopped' };
  private generation = 0;
  private jobNumber = 0;
  private failedStarts = 0;
  private stopWhenIdle = false;
  private disposed = false;

  constructor(private readonly options: SupervisorOptions) {
    this.onDidChangeStatus = this.statusEmitter.event;
    this.limits = { ...defaultLimits, ...options.limits };
  }

  get status(): EngineStatus {
    return this.currentStatus;
  }

  /** Process id of the running engine. */
  get processId(): number | undefined {
    return this.current?.process.processId;
  }

  /**
   * Sends one request and waits for its result; starts the engine where none runs.
   *
   * @throws TunerError with the engine's own code, or engineCrashed, engineTimedOut, protocolMismatch,
   * malformedMessage, cancelled
   */
  async request<Name extends EngineRequestName>(
    name: Name,
    params: EngineParams<Name>,
    options: RequestOptions = {},
  ): Promise<EngineResult<Name>> {
    const checked = engineRequests[name].params.safeParse(params);
    if (!checked.success) {
      throw new TunerError(
        'malformedMessage',
        localize('The request "{name}" is not well formed: {reason}', { name, reason: checked.error.message }),
      );
    }
    let engine = await this.ensureStarted();
    while (engine.endedBy !== undefined) {
      // It was ended between its start and this line; nothing was sent yet, so the next one can take the request.
      engine = await this.ensureStarted();
    }
    if (options.token?.isCancellationRequested === true) {
      throw cancelledError();
    }
    const answer = await this.send(engine, name, checked.data, options);
    const result = engineRequests[name].result.safeParse(answer);
    if (!result.success) {
      this.options.log.error(`Malformed result of ${name}: ${result.error.message}`);
      throw new TunerError(
        'malformedMessage',
        localize('The engine answered "{name}" with a malformed result.', { name }),
        {
          place: result.error.issues[0]?.path.join('.'),
          wayOut: localize('Restart the engine and report this with the log.'),
        },
      );
    }
    this.failedStarts = 0;
    return result.data as EngineResult<Name>;
  }

  /** Starts the engine where none runs, without a request. */
  async start(): Promise<void> {
    await this.ensureStarted();
  }

  /** Ends the engine; unanswered requests are rejected. The next request starts a fresh one. */
  stop(): void {
    if (this.current !== undefined) {
      this.end(this.current, errors.stoppedError(), { state: 'stopped' });
    } else {
      this.setStatus({ state: 'stopped' });
    }
    this.failedStarts = 0;
  }

  /** Lets running requests finish, then ends the engine, so that the next request sees the new settings. */
  settingsChanged(): void {
    if (this.pending.size === 0 && this.starting === undefined) {
      this.stop();
    } else {
      this.stopWhenIdle = true;
    }
  }

  dispose(): void {
    this.disposed = true;
    this.stop();
    this.statusEmitter.dispose();
  }

  private ensureStarted(): Promise<RunningEngine> {
    if (this.disposed) {
      return Promise.reject(errors.stoppedError());
    }
    const { current } = this;
    if (current !== undefined && this.starting === undefined) {
      // Without a channel the process is ending: wait for its exit, then start the next one.
      return current.process.connected
        ? Promise.resolve(current)
        : new Promise<void>((resolve) => current.process.onDidExit(() => resolve())).then(() => this.ensureStarted());
    }
    this.starting ??= this.startProcess().finally(() => {
      this.starting = undefined;
    });
    return this.starting;
  }

  private async startProcess(): Promise<RunningEngine> {
    this.setStatus({ state: 'starting' });
    await this.backOff();
    const { log, client } = this.options;
    const engine = this.spawnOrFail();
    try {
      const version = await handshake(engine.process, client, this.options.settings(), this.limits.start);
      log.info(`Engine ${version} started, process ${engine.process.processId}, generation ${this.generation}.`);
    } catch (error) {
      const failure = engine.endedBy ?? errors.fromResponseError(error);
      this.failedStarts = this.currentStatus.state === 'stopped' ? 0 : this.failedStarts + 1;
      this.end(engine, failure);
      throw failure;
    }
    if (engine.endedBy !== undefined) {
      throw engine.endedBy;
    }
    this.setStatus({ state: 'idle' });
    return engine;
  }

  private async backOff(): Promise<void> {
    if (this.failedStarts > 0) {
      const seconds = Math.min(this.limits.startBackoff * 2 ** (this.failedStarts - 1), this.limits.startBackoffLimit);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }

  private spawnOrFail(): RunningEngine {
    try {
      return this.spawn();
    } catch (error) {
      const failure = toTunerError(error);
      this.setStatus({ state: 'failed', message: failure.message });
      throw failure;
    }
  }

  private spawn(): RunningEngine {
    const process = new EngineProcess(++this.generation, this.options.launch());
    const watch = new DeadlineWatch(
      {
        stepOverran: (job, label, seconds) => this.endForJob(engine, job, errors.stepTimedOutError(label, seconds)),
        engineSilent: (seconds) => this.end(engine, errors.silentError(seconds)),
      },
      this.limits.silence,
    );
    const engine: RunningEngine = { process, watch };
    this.current = engine;
    process.onDidWriteLine((line) => this.options.log.info(`[engine] ${line}`));
    process.onDidExit((exit) => this.end(engine, errors.crashError(exit)));
    listenToNotifications(process.connection, watch, this.pending, this.options.log);
    process.connection.listen();
    return engine;
  }

  /** Ends an engine because one job does not respond: that job gets the cause, cancelled ones what they asked for. */
  private endForJob(engine: RunningEngine, job: string, cause: TunerError): void {
    this.end(engine, cause, { state: 'failed', message: cause.message }, (pending) => {
      if (pending.cancelled) {
        return cancelledError();
      }
      return pending.id === job ? cause : errors.endedWithAnotherJobError();
    });
  }

  private send(
    engine: RunningEngine,
    name: EngineRequestName,
    params: unknown,
    { token, onProgress, onGenerated }: RequestOptions,
  ): Promise<unknown> {
    const id = `${name}-${++this.jobNumber}`;
    const { generation, connection } = engine.process;
    return new Promise<unknown>((resolve, reject) => {
      let graceTimer: NodeJS.Timeout | undefined;
      const settle = (): void => {
        clearTimeout(graceTimer);
        cancellation.dispose();
        entry.dispose();
      };
      const fail = (error: TunerError): void => {
        settle();
        reject(error);
      };
      const job: PendingJob = { id, generation, reject: fail, onProgress, onGenerated, cancelled: false };
      const entry = this.pending.add(job);
      const cancellation = onCancelled(token, () => {
        job.cancelled = true;
        const grace = engine.watch.remainingMilliseconds() + this.limits.cancelGrace * 1000;
        graceTimer = setTimeout(() => this.endForJob(engine, id, errors.cancelIgnoredError()), grace);
      });
      const envelope = { job: id, params };
      const { method } = engineRequests[name];
      const answer =
        token === undefined
          ? connection.sendRequest<unknown>(method, envelope)
          : connection.sendRequest<unknown>(method, envelope, token);
      answer.then(
        (value) => {
          settle();
          resolve(value);
        },
        (error: unknown) => {
          // A broken channel means that the process is ending: its exit tells the person more than the channel can.
          if (!errors.isBrokenChannel(error)) {
            fail(errors.fromResponseError(error));
          }
        },
      );
    });
  }

  /** Ends one engine process, whoever asks first: rejects what it owed, forgets it, kills it. */
  private end(
    engine: RunningEngine,
    cause: TunerError,
    status: EngineStatus = { state: 'failed', message: cause.message },
    verdict: Verdict = () => cause,
  ): void {
    if (this.current !== engine) {
      return;
    }
    this.current = undefined;
    engine.endedBy = cause;
    engine.watch.dispose();
    engine.process.kill();
    if (status.state === 'failed') {
      this.options.log.error(cause.message);
    }
    this.pending.rejectAll(engine.process.generation, verdict);
    this.setStatus(status);
  }

  private pendingChanged(): void {
    this.current?.watch.setWorking(this.pending.size > 0);
    if (this.current === undefined || this.starting !== undefined) {
      return;
    }
    if (this.pending.size === 0 && this.stopWhenIdle) {
      this.stopWhenIdle = false;
      this.stop();
      return;
    }
    this.setStatus({ state: this.pending.size > 0 ? 'busy' : 'idle' });
  }

  private setStatus(status: EngineStatus): void {
    const { state, message } = this.currentStatus;
    if (state !== status.state || message !== status.message) {
      this.currentStatus = status;
      this.statusEmitter.fire(status);
    }
  }
}
