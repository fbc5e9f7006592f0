import { Emitter } from 'vscode-jsonrpc/node';

/** The execution provider that the engine was last seen to use; unknown until it ran something. */
export class ProviderInUse {
  private readonly changeEmitter = new Emitter<void>();
  readonly onDidChange = this.changeEmitter.event;
  private current: string | undefined;
  private why: string | undefined;

  get name(): string | undefined {
    return this.current;
  }

  /** Why it was chosen, where a self-check said so. */
  get reason(): string | undefined {
    return this.why;
  }

  /** @param reason why it was chosen; the known one stays while the provider does */
  set(name: string, reason?: string): void {
    if (this.current !== name || (reason !== undefined && reason !== this.why)) {
      this.why = reason ?? (this.current === name ? this.why : undefined);
      this.current = name;
      this.changeEmitter.fire();
    }
  }

  dispose(): void {
    this.changeEmitter.dispose();
  }
}
