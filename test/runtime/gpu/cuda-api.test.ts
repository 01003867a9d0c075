/** The driver's functions as we declare them, against NVIDIA's own header where that is installed. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../../runtime/package-root.ts";

const toolkit = process.env["CUDA_HOME"] ?? "/usr/local/cuda";

/** Each prototype has as many parameters as NVIDIA's, of the same sizes; structures and constants are the same. */
const source = `
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <type_traits>
#include "cuda-api.h"
namespace ours = kiln::cuda;
template <class A, class B> constexpr bool alike() {
  return sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>;
}
template <class... A, class... B> constexpr bool same(CUresult (*)(A...), ours::CUresult (*)(B...)) {
  if constexpr (sizeof...(A) == sizeof...(B)) return (alike<A, B>() && ...);
  else return false;
}
#define COMPARE(name, parameters) \\
  static_assert(same(decltype(&::name){}, decltype(ours::Functions::name.pointer){}), #name);
KILN_CUDA_FUNCTIONS(COMPARE)
static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS_v1) == sizeof(ours::KernelNodeParams));
#define AT(a, b) static_assert(offsetof(CUDA_KERNEL_NODE_PARAMS_v1, a) == offsetof(ours::KernelNodeParams, b));
AT(func, func) AT(gridDimX, gridDimX) AT(blockDimX, blockDimX) AT(sharedMemBytes, sharedMemBytes)
AT(kernelParams, kernelParams) AT(extra, extra)
#define RESULT(name) static_assert((int)CUDA_ERROR_##name == (int)ours::name);
RESULT(OUT_OF_MEMORY) RESULT(DEINITIALIZED) RESULT(STUB_LIBRARY) RESULT(DEVICE_UNAVAILABLE) RESULT(NO_DEVICE)
RESULT(INVALID_DEVICE) RESULT(INVALID_IMAGE) RESULT(INVALID_CONTEXT) RESULT(NO_BINARY_FOR_GPU)
RESULT(ECC_UNCORRECTABLE) RESULT(INVALID_PTX) RESULT(NVLINK_UNCORRECTABLE) RESULT(JIT_COMPILER_NOT_FOUND)
RESULT(UNSUPPORTED_PTX_VERSION) RESULT(JIT_COMPILATION_DISABLED) RESULT(CONTAINED) RESULT(INVALID_SOURCE)
RESULT(NOT_FOUND) RESULT(NOT_READY) RESULT(ILLEGAL_ADDRESS) RESULT(LAUNCH_TIMEOUT) RESULT(CONTEXT_IS_DESTROYED)
RESULT(ASSERT) RESULT(HARDWARE_STACK_ERROR) RESULT(ILLEGAL_INSTRUCTION) RESULT(MISALIGNED_ADDRESS)
RESULT(INVALID_ADDRESS_SPACE) RESULT(INVALID_PC) RESULT(LAUNCH_FAILED) RESULT(SYSTEM_NOT_READY)
RESULT(SYSTEM_DRIVER_MISMATCH) RESULT(COMPAT_NOT_SUPPORTED_ON_DEVICE)
#define ATTRIBUTE(name) static_assert((int)CU_DEVICE_ATTRIBUTE_##name == (int)ours::name);
ATTRIBUTE(MAX_THREADS_PER_BLOCK) ATTRIBUTE(MAX_GRID_DIM_X) ATTRIBUTE(CLOCK_RATE) ATTRIBUTE(MULTIPROCESSOR_COUNT)
ATTRIBUTE(MEMORY_CLOCK_RATE) ATTRIBUTE(GLOBAL_MEMORY_BUS_WIDTH) ATTRIBUTE(COMPUTE_CAPABILITY_MAJOR)
ATTRIBUTE(COMPUTE_CAPABILITY_MINOR) ATTRIBUTE(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
static_assert((int)CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK == (int)ours::FUNC_MAX_THREADS_PER_BLOCK);
static_assert((int)CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES == (int)ours::FUNC_SHARED_SIZE_BYTES);
static_assert((int)CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES == (int)ours::FUNC_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert((int)CU_JIT_ERROR_LOG_BUFFER == (int)ours::JIT_ERROR_LOG_BUFFER);
static_assert((int)CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES == (int)ours::JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
static_assert(CU_STREAM_NON_BLOCKING == ours::streamNonBlocking);
static_assert(CU_EVENT_DISABLE_TIMING == ours::eventDisableTiming);
`;

describe("declarations of the CUDA driver", () => {
  it("are those of cuda.h", function () {
    const include = join(toolkit, "include");
    if (!existsSync(join(include, "cuda.h"))) {
      console.log(`    skipped: there is no cuda.h in ${include} (set CUDA_HOME)`);
      this.skip();
    }
    const args = ["-std=c++20", "-fsyntax-only", "-I", join(packageRoot(), "runtime", "native"), "-isystem", include];
    const { stderr, status } = spawnSync(process.env["CXX"] ?? "g++", [...args, "-x", "c++", "-"], {
      input: source,
      encoding: "utf8",
    });
    expect(stderr).to.equal("");
    expect(status).to.equal(0);
  });
});
