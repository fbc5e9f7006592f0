/** The sink for log lines; the output channel of the editor fits, and so does an array in a test. */
export interface Log {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export type LogLevel = keyof Log;
