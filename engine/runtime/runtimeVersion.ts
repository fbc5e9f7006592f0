import { env, listSupportedBackends } from 'onnxruntime-node';

/** Version of ONNX Runtime. */
export function runtimeVersion(): string {
  return env.versions.node ?? env.versions.common;
}

/** Names of the execution providers that the installed binary was built with. */
export function bundledProviders(): string[] {
  return listSupportedBackends()
    .filter(({ bundled }) => bundled)
    .map(({ name }) => name);
}
