#include "cuda-module.h"

#include <array>
#include <utility>

namespace kiln::cuda {

Result<std::shared_ptr<Module>> Module::load(std::shared_ptr<Device> device, std::span<const std::byte> image,
                                             const std::vector<KernelShape> &shapes) {
  if (auto why = device->lost()) return *why;
  std::array<char, 8192> log{};
  std::array<JitOption, 2> options{JIT_ERROR_LOG_BUFFER, JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  // The size is passed in the pointer itself.
  std::array<void *, 2> values{log.data(), reinterpret_cast<void *>(log.size() - 1)};
  CUmodule handle = nullptr;
  if (auto failure = device->call(device->driver().cuModuleLoadDataEx, &handle, static_cast<const void *>(image.data()),
                                  static_cast<unsigned>(options.size()), options.data(), values.data())) {
    if (log[0] != '\0') failure->text += std::string("\n") + log.data();
    return *failure;
  }
  std::shared_ptr<Module> module(new Module(std::move(device), handle));
  for (const KernelShape &shape : shapes)
    if (auto failure = module->find(shape)) return *failure;
  return module;
}

Module::~Module() {
  // Kernels that are under way are taken from under the GPU otherwise.
  device_->settle();
  device_->release(device_->driver().cuModuleUnload, module_);
}

std::optional<Failure> Module::find(const KernelShape &shape) {
  const Driver &driver = device_->driver();
  CUfunction function = nullptr;
  if (auto failure = device_->call(driver.cuModuleGetFunction, &function, module_, shape.name.c_str())) {
    if (failure->text.find("CUDA_ERROR_NOT_FOUND") != std::string::npos)
      return Failure{"kernel", "the compiled code has no kernel " + shape.name};
    return failure;
  }
  int threads = 0, fixedBytes = 0;
  if (auto failure = device_->call(driver.cuFuncGetAttribute, &threads, FUNC_MAX_THREADS_PER_BLOCK, function))
    return failure;
  if (auto failure = device_->call(driver.cuFuncGetAttribute, &fixedBytes, FUNC_SHARED_SIZE_BYTES, function))
    return failure;
  if (shape.threads > static_cast<unsigned>(threads))
    return Failure{"kernel", shape.name + " was compiled for at most " + std::to_string(threads) +
                                 " threads a block and is to run with " + std::to_string(shape.threads)};
  // What the kernel declares with a size is in the code; what it declares without one must be asked for.
  const auto fixed = static_cast<unsigned>(fixedBytes);
  const unsigned dynamic = shape.sharedBytes > fixed ? shape.sharedBytes - fixed : 0;
  if (dynamic != 0)
    if (auto failure = device_->call(driver.cuFuncSetAttribute, function, FUNC_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                     static_cast<int>(dynamic)))
      return failure;
  kernels_.push_back({function, shape.threads, dynamic});
  return std::nullopt;
}

}  // namespace kiln::cuda
