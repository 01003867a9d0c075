// A CUDA driver that has been opened: its functions, and what its results mean. There is no link-time dependency; without
// a driver, opening one is a failure like any other.
//
// `Failure::call` is what callers tell apart:
//   "library"  the driver cannot be opened or lacks a function       "gpu"     there is no GPU, or none of that number
//   "driver"   the driver does not work with this system             "memory"  out of memory
//   "image"    the compiled kernels do not fit the GPU or driver     "lost"    the GPU's context is unusable from now on
// and for everything else the name of the function that failed.
#ifndef KILN_CUDA_DRIVER_H
#define KILN_CUDA_DRIVER_H

#include <optional>
#include <string>

#include "cuda-api.h"
#include "failure.h"

namespace kiln::cuda {

struct Driver : Functions {
  // As CUDA numbers versions: 1000 x major + 10 x minor, of the newest CUDA this driver supports.
  int version = 0;

  // Opens the driver at `path` (a path or a name that the dynamic linker knows), initialised. The same path gives the
  // same table, which lasts as long as the process.
  static Result<const Driver *> open(const std::string &path);

  // Calls a function. Nothing if it succeeded.
  template <class... Parameters, class... Arguments>
  std::optional<Failure> call(const Function<CUresult(Parameters...)> &function, Arguments... arguments) const {
    const CUresult result = function.pointer(arguments...);
    if (result == SUCCESS) return std::nullopt;
    return failureOf(function.name, result);
  }

  // The failure of a call, with the name and text the driver has for its result.
  Failure failureOf(const char *call, CUresult result) const;
};

}  // namespace kiln::cuda

#endif
