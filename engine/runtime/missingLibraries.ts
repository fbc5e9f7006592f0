/** Libraries that the CUDA provider needs: stem of the file name, what it is, and the package index that carries it. */
const cudaLibraries = [
  { stem: 'cublasLt', title: 'cuBLAS', wheel: 'nvidia-cublas' },
  { stem: 'cublas', title: 'cuBLAS', wheel: 'nvidia-cublas' },
  { stem: 'cudart', title: 'the CUDA runtime', wheel: 'nvidia-cuda-runtime' },
  { stem: 'cudnn', title: 'cuDNN', wheel: 'nvidia-cudnn' },
  { stem: 'curand', title: 'cuRAND', wheel: 'nvidia-curand' },
  { stem: 'cufft', title: 'cuFFT', wheel: 'nvidia-cufft' },
  { stem: 'nvrtc', title: 'NVRTC', wheel: 'nvidia-cuda-nvrtc' },
] as const;

/** Libraries whose file version is the CUDA major version itself. */
const versionedLikeCuda = new Set(['cublas', 'cublasLt', 'cudart']);

const missingLibrary = /\blib(\w+)\.so(?:\.(\d+))?[\d.]*: cannot open shared object file/;
const missingWindowsLibrary = /\b(?:depends on|loading) "?(\w+?)64_(\d+)\.dll"?/i;

/**
 * What a person has to install, from what the loader of the system printed: which file is missing, of which library, for which
 * major version of CUDA. Undefined where no library is missing.
 */
export function missingLibraryAdvice(standardError: string): string | undefined {
  const match = missingLibrary.exec(standardError) ?? missingWindowsLibrary.exec(standardError);
  if (match === null) {
    return undefined;
  }
  const [, stem, version] = match as unknown as [string, string, string | undefined];
  const file = match[0].split(':', 1)[0]!.replace(/^.*"|"$/g, '');
  if (stem.startsWith('onnxruntime_providers')) {
    return `The file ${file} of the CUDA provider is missing.`;
  }
  const library = cudaLibraries.find((known) => known.stem === stem);
  if (stem === 'cuda') {
    return `The NVIDIA driver is missing: there is no ${file}.`;
  }
  if (library === undefined) {
    return `The library ${file} is missing.`;
  }
  const major = version !== undefined && versionedLikeCuda.has(stem) ? version : undefined;
  const which = major === undefined ? '' : ` of CUDA ${major}`;
  const wheel = major === undefined ? library.wheel : `${library.wheel}-cu${major}`;
  return (
    `The library ${file} is missing: ${library.title}${which}. Install it (from NVIDIA's packages, or "pip install ${wheel}") ` +
    'and name its folder in LD_LIBRARY_PATH, or put it into the folder "lib" of the runtime folder.'
  );
}
