#include "cuda-driver.h"

#include <map>
#include <memory>
#include <mutex>

#include "named-library.h"

namespace kiln::cuda {

namespace {

// What kind of failure a result is, or null if it is the call's own.
const char *kindOf(CUresult result) {
  switch (result) {
    case OUT_OF_MEMORY:
      return "memory";
    case NO_DEVICE:
    case INVALID_DEVICE:
    case DEVICE_UNAVAILABLE:
      return "gpu";
    case STUB_LIBRARY:
    case SYSTEM_NOT_READY:
    case SYSTEM_DRIVER_MISMATCH:
    case COMPAT_NOT_SUPPORTED_ON_DEVICE:
      return "driver";
    case INVALID_IMAGE:
    case NO_BINARY_FOR_GPU:
    case INVALID_PTX:
    case JIT_COMPILER_NOT_FOUND:
    case UNSUPPORTED_PTX_VERSION:
    case JIT_COMPILATION_DISABLED:
    case INVALID_SOURCE:
      return "image";
    // After one of these all further calls fail, says the driver's manual.
    case DEINITIALIZED:
    case INVALID_CONTEXT:
    case ECC_UNCORRECTABLE:
    case NVLINK_UNCORRECTABLE:
    case CONTAINED:
    case ILLEGAL_ADDRESS:
    case LAUNCH_TIMEOUT:
    case CONTEXT_IS_DESTROYED:
    case ASSERT:
    case HARDWARE_STACK_ERROR:
    case ILLEGAL_INSTRUCTION:
    case MISALIGNED_ADDRESS:
    case INVALID_ADDRESS_SPACE:
    case INVALID_PC:
    case LAUNCH_FAILED:
      return "lost";
    default:
      return nullptr;
  }
}

Result<std::unique_ptr<Driver>> loadDriver(const std::string &path) {
  auto library = NamedLibrary::open(path);
  if (!library.ok()) return library.failure();
  auto driver = std::make_unique<Driver>();
  const char *missing = nullptr;
#define KILN_CUDA_FIND(name, parameters)                                                                       \
  driver->name.pointer = reinterpret_cast<decltype(driver->name.pointer)>(library.value().find(#name));        \
  if (driver->name.pointer == nullptr) missing = #name;
  KILN_CUDA_FUNCTIONS(KILN_CUDA_FIND)
#undef KILN_CUDA_FIND
  if (missing != nullptr) return Failure{"driver", path + " has no function " + missing};
  if (auto failure = driver->call(driver->cuInit, 0u)) return *failure;
  if (auto failure = driver->call(driver->cuDriverGetVersion, &driver->version)) return *failure;
  return driver;
}

}  // namespace

Result<const Driver *> Driver::open(const std::string &path) {
  static std::mutex mutex;
  // Never destroyed: devices of other threads may outlive static objects.
  static auto &opened = *new std::map<std::string, std::unique_ptr<Driver>>;
  std::lock_guard lock(mutex);
  if (const auto found = opened.find(path); found != opened.end()) return found->second.get();
  auto loaded = loadDriver(path);
  if (!loaded.ok()) return loaded.failure();
  return (opened[path] = std::move(loaded.value())).get();
}

Failure Driver::failureOf(const char *call, CUresult result) const {
  const char *name = nullptr, *text = nullptr;
  // A result that the driver does not know has no name.
  if (cuGetErrorName.pointer(result, &name) != SUCCESS || name == nullptr) name = "unknown error";
  if (cuGetErrorString.pointer(result, &text) != SUCCESS || text == nullptr) text = "no description";
  const std::string all = std::string(name) + " (" + std::to_string(result) + "): " + text;
  const char *kind = kindOf(result);
  return kind == nullptr ? Failure{call, all} : Failure{kind, std::string(call) + ": " + all};
}

}  // namespace kiln::cuda
