/** What a device could not do during a job, and what was done instead. Every message is told once, at once. */
export class DeviceJournal {
  private readonly told = new Set<string>();
  private processor = false;
  private lost = false;

  constructor(private readonly tell: (message: string) => void) {}

  /** Whether any part of the work ran on the processor in place of the device. */
  get usedProcessor(): boolean {
    return this.processor;
  }

  /** Whether the device failed in a way that this process cannot recover from. */
  get deviceLost(): boolean {
    return this.lost;
  }

  splitExperts(message: string): void {
    this.note(message);
  }

  smallerSteps(message: string): void {
    this.note(message);
  }

  toProcessor(message: string, lost: boolean): void {
    this.processor = true;
    this.lost ||= lost;
    this.note(message);
  }

  private note(message: string): void {
    if (!this.told.has(message)) {
      this.told.add(message);
      this.tell(message);
    }
  }
}
