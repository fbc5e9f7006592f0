/** An execution provider the engine can use. */
export interface ProviderRecord {
  /** Name in settings and on the command line. */
  readonly name: string;
  /** Name that onnxruntime-node knows it by. */
  readonly runtimeName: string;
  readonly title: string;
  /** Platforms on which it can exist (`process.platform`). */
  readonly platforms: readonly NodeJS.Platform[];
  /** What brings it, for people who miss it. */
  readonly howToGet: string;
}

export const providerTable: readonly ProviderRecord[] = [
  {
    name: 'cpu',
    runtimeName: 'cpu',
    title: 'CPU',
    platforms: ['linux', 'darwin', 'win32'],
    howToGet: 'It is always there.',
  },
  {
    name: 'cuda',
    runtimeName: 'cuda',
    title: 'CUDA (NVIDIA)',
    platforms: ['linux'],
    howToGet:
      'Run "node node_modules/onnxruntime-node/script/install.js" on the machine with the GPU; it downloads the CUDA provider and needs CUDA and cuDNN libraries.',
  },
  {
    name: 'webgpu',
    runtimeName: 'webgpu',
    title: 'WebGPU (Vulkan, Metal, Direct3D 12)',
    platforms: ['linux', 'darwin', 'win32'],
    howToGet: 'It is built in; it needs a graphics driver with Vulkan, Metal or Direct3D 12.',
  },
  {
    name: 'directml',
    runtimeName: 'dml',
    title: 'DirectML',
    platforms: ['win32'],
    howToGet: 'It is built in on Windows 10 and newer.',
  },
  {
    name: 'coreml',
    runtimeName: 'coreml',
    title: 'Core ML',
    platforms: ['darwin'],
    howToGet: 'It is built in on macOS.',
  },
];

export function providerNamed(name: string): ProviderRecord | undefined {
  return providerTable.find((record) => record.name === name);
}
