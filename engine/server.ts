import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  createMessageConnection,
  IPCMessageReader,
  IPCMessageWriter,
  ResponseError,
  type CancellationToken,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import type { z } from 'zod';
import { createServices } from './jobs/createServices';
import { jobTable, type JobName } from './jobs/jobTable';
import type { EngineServices } from './jobs/services';
import type { JobContext } from './measure/jobContext';
import { errorCodes, TunerError, toTunerError, type ErrorCode } from './protocol/errors';
import {
  engineRequests,
  generatedNotification,
  initializeRequest,
  logNotification,
  progressNotification,
  protocolVersion,
  requestEnvelopeSchema,
  stepEndedNotification,
  stepStartedNotification,
  type NotificationType,
} from './protocol/messages';
import { engineVersion } from './version';

/** Progress is sent at most this often, in milliseconds. */
const progressInterval = 50;

/** A record of the job table whose own parameter type was lost by iterating. */
interface AnyJob {
  run(params: unknown, services: EngineServices, job: JobContext): Promise<unknown>;
}

/** The engine process: answers the requests of the protocol over IPC, one long job at a time. */
class EngineServer {
  private services: EngineServices | undefined;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly connection: MessageConnection,
    private readonly programDirectory: string,
  ) {}

  listen(): void {
    this.connection.onRequest(initializeRequest.method, (message: unknown) =>
      this.answer(() => Promise.resolve(this.initialize(message))),
    );
    for (const name of Object.keys(jobTable) as JobName[]) {
      this.connection.onRequest(engineRequests[name].method, (message: unknown, token: CancellationToken) =>
        this.answer(() => this.runJob(name, message, token)),
      );
    }
    this.connection.listen();
  }

  private initialize(message: unknown): z.infer<typeof initializeRequest.result> {
    const { params } = parseMessage(requestEnvelopeSchema, message, initializeRequest.method);
    const { settings } = parseMessage(initializeRequest.params, params, initializeRequest.method);
    this.services = createServices(settings, this.programDirectory, (text) => this.log('warn', text));
    return { protocolVersion, engineVersion, processId: process.pid };
  }

  private async runJob(name: JobName, message: unknown, token: CancellationToken): Promise<unknown> {
    const envelope = parseMessage(requestEnvelopeSchema, message, name);
    const params = parseMessage(engineRequests[name].params, envelope.params, name);
    const services = this.services;
    if (services === undefined) {
      throw new TunerError('protocolMismatch', 'The engine was asked for work before the handshake.');
    }
    const record = jobTable[name];
    const abort = new AbortController();
    token.onCancellationRequested(() => abort.abort());
    // The table ties every name to its own parameter type; iterating over it loses that, the schema has checked it.
    const { job } = envelope;
    const start = () => (record as AnyJob).run(params, services, this.jobContext(job, abort.signal));
    if (!record.exclusive) {
      return start();
    }
    const turn = this.queue.then(start);
    this.queue = turn.catch(() => undefined);
    return turn;
  }

  private jobContext(job: string, signal: AbortSignal): JobContext {
    let sent = 0;
    return {
      signal,
      progress: (fraction, message) => {
        if (performance.now() - sent >= progressInterval) {
          sent = performance.now();
          this.notify(progressNotification, { job, fraction, message });
        }
      },
      log: (level, message) => this.log(level, message),
      stepStarted: (label, deadlineSeconds) => this.notify(stepStartedNotification, { job, label, deadlineSeconds }),
      stepEnded: () => this.notify(stepEndedNotification, { job }),
      generated: (step) => this.notify(generatedNotification, { job, step }),
    };
  }

  private log(level: z.infer<typeof logNotification.params>['level'], message: string): void {
    this.notify(logNotification, { level, message });
  }

  /** A client that went away ends this process through `disconnect`; what could not be sent is of no use then. */
  private notify<Params extends z.ZodType>(type: NotificationType<Params>, params: z.input<Params>): void {
    this.connection.sendNotification(type.method, params as object).catch(() => undefined);
  }

  /** Every request gets a reply: errors travel with code, file, place and way out. */
  private async answer(run: () => Promise<unknown>): Promise<unknown> {
    try {
      return await run();
    } catch (thrown) {
      const error = toTunerError(thrown);
      if (error.code === 'internal') {
        this.log('error', error.cause instanceof Error ? (error.cause.stack ?? error.message) : error.message);
      }
      return new ResponseError(responseCode(error.code), error.message, { code: error.code, ...error.details });
    }
  }
}

/** JSON-RPC wants a number: the position of the code in the table; clients read the name from the data. */
function responseCode(code: ErrorCode): number {
  return 1 + Object.keys(errorCodes).indexOf(code);
}

function parseMessage<Schema extends z.ZodType>(schema: Schema, value: unknown, method: string): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new TunerError('malformedMessage', `The request "${method}" is malformed: ${issue?.message ?? ''}.`, {
      place: issue?.path.join('.'),
    });
  }
  return parsed.data;
}

process.on('disconnect', () => process.exit(0));
new EngineServer(
  createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process)),
  path.dirname(fileURLToPath(import.meta.url)),
).listen();
