// What can run programs. The addon knows devices only through this interface; it holds no policy: it opens programs,
// gives memory and runs steps, and whoever calls it decides what and when.
#ifndef KILN_DEVICE_H
#define KILN_DEVICE_H

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "failure.h"
#include "job.h"
#include "region.h"

namespace kiln {

struct EntryShape {
  std::string name;
  std::size_t buffers;
  std::size_t phases;
};

// A program opened on a device.
class Executable {
 public:
  virtual ~Executable() = default;
  virtual const std::vector<EntryShape> &entries() const = 0;
  // Runs the job on the calling thread and the device's own; the number of steps done. One call at a time a device.
  virtual Result<long> run(const Job &job) = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual Result<std::shared_ptr<Executable>> open(std::span<const std::byte> image) = 0;
  virtual Result<Region> allocate(std::size_t bytes) = 0;
};

}  // namespace kiln

#endif
