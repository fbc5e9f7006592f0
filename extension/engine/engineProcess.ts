import { fork, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createMessageConnection, Emitter, IPCMessageReader, IPCMessageWriter } from 'vscode-jsonrpc/node';
import type { Event, MessageConnection } from 'vscode-jsonrpc/node';

/** How to start an engine process. */
export interface EngineLaunch {
  /** Absolute path of the bundled engine. */
  readonly script: string;
  /** Node executable; the one that runs the extension host where undefined. */
  readonly nodePath?: string | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

/** How an engine process ended. */
export interface EngineExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Last lines the process wrote to its standard output and error. */
  readonly lastOutput: readonly string[];
}

const keptOutputLines = 40;

/** Output still in the pipe after the process ended is waited for this long. */
const outputGraceMilliseconds = 100;

/** One engine process and the connection to it. A new process is a new object with a new generation number. */
export class EngineProcess {
  readonly connection: MessageConnection;
  readonly onDidExit: Event<EngineExit>;
  readonly onDidWriteLine: Event<string>;

  private readonly exitEmitter = new Emitter<EngineExit>();
  private readonly lineEmitter = new Emitter<string>();
  private readonly lastOutput: string[] = [];
  private readonly child: ChildProcess;
  private ended = false;

  constructor(
    readonly generation: number,
    launch: EngineLaunch,
  ) {
    this.onDidExit = this.exitEmitter.event;
    this.onDidWriteLine = this.lineEmitter.event;
    this.child = fork(launch.script, [], {
      execArgv: [],
      ...(launch.nodePath === undefined ? {} : { execPath: launch.nodePath }),
      // The desktop's own executable behaves as plain Node only with this variable.
      env: { ...process.env, ...launch.environment, ELECTRON_RUN_AS_NODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.readLines(this.child.stdout);
    this.readLines(this.child.stderr);
    this.child.once('error', (error) => this.end({ code: null, signal: null }, error.message));
    this.child.once('exit', (code, signal) => this.endAfterOutput(code, signal));
    this.connection = createMessageConnection(new IPCMessageReader(this.child), new IPCMessageWriter(this.child));
    // A write to a process that is gone is reported through its exit, once.
    this.connection.onError(() => undefined);
  }

  get processId(): number | undefined {
    return this.child.pid;
  }

  /** Whether messages can still be sent to the process. */
  get connected(): boolean {
    return this.child.connected;
  }

  /** Ends the process at once. Its exit event still follows. */
  kill(): void {
    this.child.kill('SIGKILL');
  }

  private readLines(stream: Readable | null): void {
    if (stream === null) {
      return;
    }
    createInterface({ input: stream }).on('line', (line) => {
      this.lastOutput.push(line);
      this.lastOutput.splice(0, Math.max(0, this.lastOutput.length - keptOutputLines));
      this.lineEmitter.fire(line);
    });
  }

  private endAfterOutput(code: number | null, signal: NodeJS.Signals | null): void {
    const finish = (): void => this.end({ code, signal });
    const timer = setTimeout(finish, outputGraceMilliseconds);
    this.child.once('close', () => {
      clearTimeout(timer);
      finish();
    });
  }

  private end(exit: Omit<EngineExit, 'lastOutput'>, reason?: string): void {
    if (this.ended) {
      return;
    }
    this.ended = true;
    const lastOutput = reason === undefined ? [...this.lastOutput] : [...this.lastOutput, reason];
    this.exitEmitter.fire({ ...exit, lastOutput });
    this.connection.dispose();
    this.exitEmitter.dispose();
    this.lineEmitter.dispose();
  }
}
