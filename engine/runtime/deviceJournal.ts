/** What a device could not do during a job, and what was done instead. Every message is told once, at once. */
export class DeviceJournal {
  private readonly told = new Set<string>();
  private processor = false;
  private lost = false;

  constructor(private readonly tell: (message: string) => void) {}

  /** Most bytes of experts that are loaded at once, once more of them did not fit; later layers start with it. */
  private mostExpertBytes = Infinity;

  /** Whether any part of the work ran on the processor in place of the device. */
  get usedProcessor(): boolean {
    return this.processor;
  }

  /** Whether the device failed in a way that this process cannot recover from. */
  get deviceLost(): boolean {
    return this.lost;
  }

  get expertBytes(): number {
    return this.mostExpertBytes;
  }

  /** @param groupBytes weights of the experts that run at once from now on */
  splitExperts(message: string, groupBytes: number): void {
    this.mostExpertBytes = Math.min(this.mostExpertBytes, groupBytes);
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
