/**
 * What a webview needs from the extension host. Surfaces receive it as a parameter, so that tests and benchmarks can hand
 * in their own; nothing else calls `acquireVsCodeApi`.
 */
export interface WebviewHost<Outgoing> {
  /** Sends one message; the host validates it. */
  post(message: Outgoing): void;
  /** The state written last, also by an earlier life of this webview. Unvalidated. */
  readState(): unknown;
  writeState(state: object): void;
  /** Calls the listener for each message from the host, unvalidated; returns the function that stops it. */
  onMessage(listener: (message: unknown) => void): () => void;
}

/** Connects to VS Code. May be called once per page: VS Code hands its interface out a single time. */
export function connectToHost<Outgoing>(): WebviewHost<Outgoing> {
  const vscode = acquireVsCodeApi<object>();
  return {
    post: (message) => {
      vscode.postMessage(message);
    },
    readState: () => vscode.getState(),
    writeState: (state) => {
      vscode.setState(state);
    },
    onMessage: (listener) => {
      const forward = (event: MessageEvent<unknown>): void => {
        listener(event.data);
      };
      window.addEventListener('message', forward);
      return () => {
        window.removeEventListener('message', forward);
      };
    },
  };
}
