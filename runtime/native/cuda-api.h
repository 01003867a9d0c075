// The part of the CUDA driver interface that is used here, declared by ourselves so that no CUDA header is needed to build:
// handles, structures, constants and, in one table, each function's exported name and prototype. A test compares all of it
// with `cuda.h` where that is installed.
#ifndef KILN_CUDA_API_H
#define KILN_CUDA_API_H

#include <cstddef>

namespace kiln::cuda {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct ContextHandle *;
using CUstream = struct StreamHandle *;
using CUevent = struct EventHandle *;
using CUmodule = struct ModuleHandle *;
using CUfunction = struct FunctionHandle *;
using CUgraph = struct GraphHandle *;
using CUgraphNode = struct GraphNodeHandle *;
using CUgraphExec = struct GraphExecHandle *;

// CUDA_KERNEL_NODE_PARAMS_v1
struct KernelNodeParams {
  CUfunction func;
  unsigned gridDimX, gridDimY, gridDimZ;
  unsigned blockDimX, blockDimY, blockDimZ;
  unsigned sharedMemBytes;
  void **kernelParams;
  void **extra;
};

// Results that are told apart.
enum : CUresult {
  SUCCESS = 0,
  OUT_OF_MEMORY = 2,
  DEINITIALIZED = 4,
  STUB_LIBRARY = 34,
  DEVICE_UNAVAILABLE = 46,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  ECC_UNCORRECTABLE = 214,
  INVALID_PTX = 218,
  NVLINK_UNCORRECTABLE = 220,
  JIT_COMPILER_NOT_FOUND = 221,
  UNSUPPORTED_PTX_VERSION = 222,
  JIT_COMPILATION_DISABLED = 223,
  CONTAINED = 226,
  INVALID_SOURCE = 300,
  NOT_FOUND = 500,
  NOT_READY = 600,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_TIMEOUT = 702,
  CONTEXT_IS_DESTROYED = 709,
  ASSERT = 710,
  HARDWARE_STACK_ERROR = 714,
  ILLEGAL_INSTRUCTION = 715,
  MISALIGNED_ADDRESS = 716,
  INVALID_ADDRESS_SPACE = 717,
  INVALID_PC = 718,
  LAUNCH_FAILED = 719,
  SYSTEM_NOT_READY = 802,
  SYSTEM_DRIVER_MISMATCH = 803,
  COMPAT_NOT_SUPPORTED_ON_DEVICE = 804,
};

enum DeviceAttribute : int {
  MAX_THREADS_PER_BLOCK = 1,
  MAX_GRID_DIM_X = 5,
  CLOCK_RATE = 13,
  MULTIPROCESSOR_COUNT = 16,
  MEMORY_CLOCK_RATE = 36,
  GLOBAL_MEMORY_BUS_WIDTH = 37,
  COMPUTE_CAPABILITY_MAJOR = 75,
  COMPUTE_CAPABILITY_MINOR = 76,
  MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
};

enum FunctionAttribute : int {
  FUNC_MAX_THREADS_PER_BLOCK = 0,
  FUNC_SHARED_SIZE_BYTES = 1,
  FUNC_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
};

enum JitOption : int {
  JIT_ERROR_LOG_BUFFER = 5,
  JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6,
};

constexpr unsigned streamNonBlocking = 1;
constexpr unsigned eventDisableTiming = 2;

}  // namespace kiln::cuda

// X(exported name, parameters); all of them return a CUresult. The versions are those that every driver from CUDA 11.4 on
// exports under these names.
#define KILN_CUDA_FUNCTIONS(X)                                                                                         \
  X(cuInit, (unsigned flags))                                                                                          \
  X(cuGetErrorName, (CUresult error, const char **text))                                                               \
  X(cuGetErrorString, (CUresult error, const char **text))                                                             \
  X(cuDriverGetVersion, (int *version))                                                                                \
  X(cuDeviceGetCount, (int *count))                                                                                    \
  X(cuDeviceGet, (CUdevice * device, int ordinal))                                                                     \
  X(cuDeviceGetName, (char *name, int length, CUdevice device))                                                        \
  X(cuDeviceGetAttribute, (int *value, DeviceAttribute attribute, CUdevice device))                                    \
  X(cuDeviceTotalMem_v2, (std::size_t * bytes, CUdevice device))                                                       \
  X(cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                                                  \
  X(cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                                                   \
  X(cuCtxSetCurrent, (CUcontext context))                                                                              \
  X(cuStreamCreate, (CUstream * stream, unsigned flags))                                                               \
  X(cuStreamSynchronize, (CUstream stream))                                                                            \
  X(cuStreamDestroy_v2, (CUstream stream))                                                                             \
  X(cuEventCreate, (CUevent * event, unsigned flags))                                                                  \
  X(cuEventRecord, (CUevent event, CUstream stream))                                                                   \
  X(cuEventQuery, (CUevent event))                                                                                     \
  X(cuEventSynchronize, (CUevent event))                                                                               \
  X(cuEventDestroy_v2, (CUevent event))                                                                                \
  X(cuMemAlloc_v2, (CUdeviceptr * memory, std::size_t bytes))                                                          \
  X(cuMemFree_v2, (CUdeviceptr memory))                                                                                \
  X(cuMemHostAlloc, (void **memory, std::size_t bytes, unsigned flags))                                                \
  X(cuMemFreeHost, (void *memory))                                                                                     \
  X(cuMemsetD8Async, (CUdeviceptr memory, unsigned char value, std::size_t bytes, CUstream stream))                    \
  X(cuMemcpyHtoDAsync_v2, (CUdeviceptr to, const void *from, std::size_t bytes, CUstream stream))                      \
  X(cuMemcpyDtoHAsync_v2, (void *to, CUdeviceptr from, std::size_t bytes, CUstream stream))                            \
  X(cuModuleLoadDataEx, (CUmodule * module, const void *image, unsigned count, JitOption *options, void **values))     \
  X(cuModuleUnload, (CUmodule module))                                                                                 \
  X(cuModuleGetFunction, (CUfunction * function, CUmodule module, const char *name))                                   \
  X(cuFuncGetAttribute, (int *value, FunctionAttribute attribute, CUfunction function))                                \
  X(cuFuncSetAttribute, (CUfunction function, FunctionAttribute attribute, int value))                                 \
  X(cuGraphCreate, (CUgraph * graph, unsigned flags))                                                                  \
  X(cuGraphAddKernelNode, (CUgraphNode * node, CUgraph graph, const CUgraphNode *dependencies, std::size_t count,      \
                           const KernelNodeParams *params))                                                            \
  X(cuGraphInstantiateWithFlags, (CUgraphExec * exec, CUgraph graph, unsigned long long flags))                        \
  X(cuGraphExecKernelNodeSetParams, (CUgraphExec exec, CUgraphNode node, const KernelNodeParams *params))              \
  X(cuGraphLaunch, (CUgraphExec exec, CUstream stream))                                                                \
  X(cuGraphExecDestroy, (CUgraphExec exec))                                                                            \
  X(cuGraphDestroy, (CUgraph graph))

namespace kiln::cuda {

// A function of a library, with the name that errors call it by.
template <class Signature>
struct Function;

template <class R, class... Parameters>
struct Function<R(Parameters...)> {
  const char *name;
  R (*pointer)(Parameters...);
};

// The functions of a driver that has been opened.
struct Functions {
#define KILN_CUDA_MEMBER(name, parameters) Function<CUresult parameters> name{#name, nullptr};
  KILN_CUDA_FUNCTIONS(KILN_CUDA_MEMBER)
#undef KILN_CUDA_MEMBER
};

}  // namespace kiln::cuda

#endif
