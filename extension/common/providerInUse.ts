import { Emitter } from 'vscode-jsonrpc/node';

/** The execution provider that the engine was last seen to use; unknown until it ran something. */
export class ProviderInUse {
  private readonly changeEmitter = new Emitter<void>();
  readonly onDidChange = this.changeEmitter.event;
  private current: string | undefined;

  get name(): string | undefined {
    return this.current;
  }

  set(name: string): void {
    if (this.current !== name) {
      this.current = name;
      this.changeEmitter.fire();
    }
  }

  dispose(): void {
    this.changeEmitter.dispose();
  }
}
