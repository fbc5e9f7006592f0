import { expect, test } from 'vitest';
import { runtimeError } from '../../engine/runtime/session';

/** What ONNX Runtime 1.29 says before and after the message of CUDA, as it was recorded. */
function cudaCall(type: string, message: string): string {
  const call = (line: number) =>
    `/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:${line} std::conditional_t<THRW, void, ` +
    `onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, SUCCTYPE, const char*, const char*, int) ` +
    `[with ERRTYPE = ${type}; bool THRW = true; SUCCTYPE = ${type}; std::conditional_t<THRW, void, common::Status> = void] `;
  return `${call(154)}${call(146)}${message} \n\n`;
}

/** Recorded on an H100 whose memory another process held, 1 and 1.25 GiB free. */
const recorded = [
  '/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:359 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 5767168\n',
  `Exception during initialization: ${cudaCall('cudaError', 'CUDA failure 2: out of memory ; GPU=0 ; hostname=vm ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_allocator.cc ; line=47 ; expr=cudaMalloc((void**)&p, size);')}`,
  cudaCall(
    'cublasStatus_t',
    'CUBLAS failure 3: the resource allocation failed ; GPU=0 ; hostname=vm ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_stream_handle.cc ; line=79 ; expr=cublasCreate(&cublas_handle_);',
  ),
];

test.each(recorded)('memory of a device that is too small is told as such: %#', (message) => {
  expect(runtimeError(new Error(message), 'A graph failed while it ran.').code).toBe('outOfMemory');
});

/** Statuses of cuBLAS and CUDA that say nothing of memory; 31 and 300 begin like the one that does. */
const failures = [
  ['cublasStatus_t', 'CUBLAS failure 1: the library was not initialized'],
  ['cublasStatus_t', 'CUBLAS failure 13: the function failed to launch on the GPU'],
  ['cublasStatus_t', 'CUBLAS failure 14: an internal operation failed'],
  ['cublasStatus_t', 'CUBLAS failure 31: unknown status'],
  ['cudaError', 'CUDA failure 3: initialization error'],
  ['cudaError', 'CUDA failure 300: invalid source'],
  ['cudaError', 'CUDA failure 719: unspecified launch failure'],
] as const;

test.each(failures)('a failure of the driver stays one: %s %s', (type, message) => {
  const text = cudaCall(type, `${message} ; GPU=0 ; hostname=vm ; expr=cudaStreamSynchronize(stream);`);
  expect(runtimeError(new Error(text), 'A graph failed while it ran.').code).toBe('deviceFailed');
});

test('other failures are neither', () => {
  expect(runtimeError('Non-zero status code', 'A graph failed while it ran.').code).toBe('runtimeFailed');
});
