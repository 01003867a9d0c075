// Compiled kernels on a device, and the compiler (NVRTC) for source that comes without compiled code.
#ifndef KILN_CUDA_MODULE_H
#define KILN_CUDA_MODULE_H

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cuda-device.h"

namespace kiln::cuda {

// A kernel by its name, and what it needs of a block.
struct KernelShape {
  std::string name;
  unsigned threads;
  unsigned sharedBytes;
};

// A kernel that is ready to run. `dynamicBytes`: shared memory that a launch must ask for.
struct Kernel {
  CUfunction function;
  unsigned threads;
  unsigned dynamicBytes;
};

class Module {
 public:
  // Loads a fat binary, a cubin or PTX (which ends with a zero) and finds all kernels in it. A failure has the call
  // "kernel" if a kernel is missing or cannot be run as wanted.
  static Result<std::shared_ptr<Module>> load(std::shared_ptr<Device> device, std::span<const std::byte> image,
                                              const std::vector<KernelShape> &shapes);
  ~Module();
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;

  const std::vector<Kernel> &kernels() const { return kernels_; }

 private:
  Module(std::shared_ptr<Device> device, CUmodule module) : device_(std::move(device)), module_(module) {}
  std::optional<Failure> find(const KernelShape &shape);

  std::shared_ptr<Device> device_;
  CUmodule module_;
  std::vector<Kernel> kernels_;
};

// Compiles source with the NVRTC at `path` for the GPU that `traits` describes, to code that `Module::load` takes.
// Failures have the call "nvrtc" if the compiler cannot be used and "compile" if it refuses the source, with its log.
Result<std::vector<std::byte>> compile(const std::string &path, const std::string &source, const Traits &traits);

}  // namespace kiln::cuda

#endif
