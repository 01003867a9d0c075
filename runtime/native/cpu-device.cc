#include "cpu-device.h"

#include "cpu-program.h"

namespace kiln {

Result<std::shared_ptr<Executable>> CpuDevice::open(std::span<const std::byte> image) {
  return CpuProgram::open(image, team_);
}

}  // namespace kiln
