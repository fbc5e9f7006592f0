import type { JobContext } from '../measure/jobContext';

/** Width of the bar in characters, and the shortest time between two redraws in milliseconds. */
const barWidth = 24;
const redrawInterval = 80;

/** Without a terminal, a plain line is written whenever this share more of the job is done. */
const plainShare = 0.1;

/** Shows a job on standard error: a bar on a terminal, plain lines elsewhere. Dispose it to clear the line. */
export class ProgressLine {
  private drawn = 0;
  private shown = false;
  private reported = -Infinity;

  constructor(private readonly stream: NodeJS.WriteStream) {}

  /** The job context that reports here and is cancelled by `signal`. */
  job(signal: AbortSignal): JobContext {
    return {
      signal,
      progress: (fraction, message) => this.update(fraction, message),
      log: (level, message) => {
        if (level !== 'debug') {
          this.line(`${level}: ${message}`);
        }
      },
      stepStarted: () => undefined,
      stepEnded: () => undefined,
    };
  }

  /** Writes a whole line above the bar. */
  line(text: string): void {
    this.clear();
    this.stream.write(`${text}\n`);
  }

  clear(): void {
    if (this.shown) {
      this.stream.write('\r\x1b[2K');
      this.shown = false;
    }
  }

  private update(fraction: number, message: string): void {
    if (!this.stream.isTTY) {
      if (fraction - this.reported >= plainShare) {
        this.reported = fraction;
        this.stream.write(`${Math.round(fraction * 100)}% ${message}\n`);
      }
      return;
    }
    if (performance.now() - this.drawn < redrawInterval) {
      return;
    }
    this.drawn = performance.now();
    const filled = Math.round(fraction * barWidth);
    const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled);
    this.stream.write(`\r\x1b[2K${bar} ${String(Math.round(fraction * 100)).padStart(3)} % ${message}`);
    this.shown = true;
  }
}
