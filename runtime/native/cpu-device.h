// The processor itself as a device: programs are shared objects, memory is ordinary memory, and a run happens on the
// calling thread and a team of standing threads.
#ifndef KILN_CPU_DEVICE_H
#define KILN_CPU_DEVICE_H

#include "device.h"
#include "team.h"

namespace kiln {

class CpuDevice : public Device {
 public:
  Result<std::shared_ptr<Executable>> open(std::span<const std::byte> image) override;
  Result<Region> allocate(std::size_t bytes) override { return Region::allocate(bytes); }

 private:
  Team team_;
};

}  // namespace kiln

#endif
