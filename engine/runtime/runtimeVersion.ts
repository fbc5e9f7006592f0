import { onnxruntime } from './onnxruntime';

/** Version of ONNX Runtime. */
export function runtimeVersion(): string {
  const { env } = onnxruntime();
  return env.versions.node ?? env.versions.common;
}

/** Names of the execution providers that the installed binary was built with. */
export function bundledProviders(): string[] {
  return onnxruntime()
    .listSupportedBackends()
    .filter(({ bundled }) => bundled)
    .map(({ name }) => name);
}
