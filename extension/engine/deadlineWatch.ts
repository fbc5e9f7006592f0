/** A step that was announced and has not ended. */
interface RunningStep {
  readonly label: string;
  readonly deadlineSeconds: number;
  readonly endsAt: number;
  readonly timer: NodeJS.Timeout;
}

/** What the watch reports; the receiver ends the engine. */
export interface DeadlineListener {
  stepOverran(job: string, label: string, deadlineSeconds: number): void;
  engineSilent(seconds: number): void;
}

/**
 * Watches the time limits of one engine process: a step may run until the deadline it announced; between steps
 * the engine must be heard from at least every `silenceSeconds` while it has work.
 */
export class DeadlineWatch {
  private readonly steps = new Map<string, RunningStep>();
  private silence: NodeJS.Timeout | undefined;
  private working = false;

  constructor(
    private readonly listener: DeadlineListener,
    private readonly silenceSeconds: number,
  ) {}

  stepStarted(job: string, label: string, deadlineSeconds: number): void {
    this.stepEnded(job);
    const milliseconds = deadlineSeconds * 1000;
    const timer = setTimeout(() => this.listener.stepOverran(job, label, deadlineSeconds), milliseconds);
    this.steps.set(job, { label, deadlineSeconds, endsAt: Date.now() + milliseconds, timer });
    this.heard();
  }

  stepEnded(job: string): void {
    clearTimeout(this.steps.get(job)?.timer);
    this.steps.delete(job);
    this.heard();
  }

  /** Whether any request is unanswered. */
  setWorking(working: boolean): void {
    this.working = working;
    this.heard();
  }

  /** Something arrived from the engine. */
  heard(): void {
    clearTimeout(this.silence);
    this.silence = undefined;
    if (this.working && this.steps.size === 0) {
      this.silence = setTimeout(() => this.listener.engineSilent(this.silenceSeconds), this.silenceSeconds * 1000);
    }
  }

  /** Milliseconds until the last of the running steps must have ended; 0 between steps. */
  remainingMilliseconds(): number {
    const ends = [...this.steps.values()].map((step) => step.endsAt - Date.now());
    return Math.max(0, ...ends);
  }

  dispose(): void {
    clearTimeout(this.silence);
    for (const step of this.steps.values()) {
      clearTimeout(step.timer);
    }
    this.steps.clear();
    this.working = false;
  }
}
