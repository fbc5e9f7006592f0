import type { Log, LogLevel } from './log';

const keptLines = 200;

/** Passes log lines on and keeps the last ones for the diagnostics a person can copy. */
export class RecentLog implements Log {
  private readonly recent: string[] = [];

  constructor(private readonly sink: Log) {}

  /** The last lines, oldest first, with their level. */
  get lines(): readonly string[] {
    return this.recent;
  }

  debug(message: string): void {
    this.note('debug', message);
  }

  info(message: string): void {
    this.note('info', message);
  }

  warn(message: string): void {
    this.note('warn', message);
  }

  error(message: string): void {
    this.note('error', message);
  }

  private note(level: LogLevel, message: string): void {
    this.recent.push(`[${level}] ${message}`);
    this.recent.splice(0, Math.max(0, this.recent.length - keptLines));
    this.sink[level](message);
  }
}
