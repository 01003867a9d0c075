// A GPU opened through the CUDA driver: its primary context, one stream that all work goes through, and memory. Opened and
// used on the GPU thread, except for `allocate`, which may run on another one beside it, and for what does not change.
// Whatever has been made on a device keeps it alive; what cannot be given back is remembered and reported by `close`.
#ifndef KILN_CUDA_DEVICE_H
#define KILN_CUDA_DEVICE_H

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "cuda-driver.h"

namespace kiln::cuda {

// What a GPU is and allows.
struct Traits {
  std::string name;
  std::size_t memoryBytes = 0;
  int major = 0, minor = 0;
  int multiprocessors = 0;
  // Threads of a block, bytes of its shared memory when asked for, blocks of a launch.
  int threads = 0, sharedBytes = 0, groups = 0;
  // Kilohertz, and bits: what peak rates are computed from.
  int clock = 0, memoryClock = 0, memoryBus = 0;
};

class Device;

// Memory of a device, given back when the last reference goes; that must happen on the GPU thread or once it has ended.
class Memory {
 public:
  Memory(std::shared_ptr<Device> device, CUdeviceptr address, std::size_t bytes)
      : device_(std::move(device)), address_(address), bytes_(bytes) {}
  ~Memory();
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  CUdeviceptr address() const { return address_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Device> device_;
  CUdeviceptr address_;
  std::size_t bytes_;
};

class Device : public std::enable_shared_from_this<Device> {
 public:
  static Result<std::shared_ptr<Device>> open(const Driver &driver, int ordinal);
  ~Device() { close(); }
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  const Driver &driver() const { return driver_; }
  const Traits &traits() const { return traits_; }
  CUstream stream() const { return stream_; }

  // Nothing while the device is usable, else why it is not.
  std::optional<Failure> lost() const;
  // Takes a failure that leaves the device's memory in doubt: from now on it is lost.
  Failure lose(const Failure &failure);

  // Calls a function of the driver in this device's context. A failure of the kind "lost" is remembered.
  template <class... Parameters, class... Arguments>
  std::optional<Failure> call(const Function<CUresult(Parameters...)> &function, Arguments... arguments) {
    auto failure = driver_.call(driver_.cuCtxSetCurrent, context_);
    if (!failure) failure = driver_.call(function, arguments...);
    if (failure && failure->call == "lost") return lose(*failure);
    return failure;
  }
  // The same to give something back: there is nobody to tell, so the failure is kept for `close`. It is given back even
  // if the context cannot be set, which mostly is the thread's already.
  template <class... Parameters, class... Arguments>
  void release(const Function<CUresult(Parameters...)> &function, Arguments... arguments) {
    noteRelease(driver_.call(driver_.cuCtxSetCurrent, context_));
    noteRelease(driver_.call(function, arguments...));
  }

  // Waits for all work, to give back what it uses.
  void settle() { release(driver_.cuStreamSynchronize, stream_); }

  // Zeroed memory.
  Result<std::shared_ptr<Memory>> allocate(std::size_t bytes);
  // Copies to `into` once all work before is done.
  std::optional<Failure> read(const Memory &memory, std::size_t offset, std::span<std::byte> into);
  // Copies from memory of the process and waits for it.
  std::optional<Failure> write(const Memory &memory, std::size_t offset, std::span<const std::byte> data);
  // Waits for all work.
  std::optional<Failure> finish();

  // Two events that runs take turns with.
  CUevent event(std::size_t turn) const { return events_[turn % events_.size()]; }

  // Gives all back; the first thing that could not be, since the device was opened. Nothing must be alive that was made
  // on it.
  std::optional<Failure> close();

  static constexpr std::size_t pieceBytes = std::size_t{1} << 20;
  // Behind every memory: a vector that reaches over the end may be read, though it is not used.
  static constexpr std::size_t slackBytes = 256;

 private:
  Device(const Driver &driver, CUdevice device) : driver_(driver), device_(device) {}
  std::optional<Failure> readTraits();
  std::optional<Failure> prepare();
  void noteRelease(const std::optional<Failure> &failure);

  const Driver &driver_;
  CUdevice device_;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  std::array<CUevent, 2> events_{};
  // Pinned memory that reads go through.
  std::byte *bounce_ = nullptr;
  Traits traits_;
  mutable std::mutex mutex_;
  std::optional<Failure> lost_;
  std::optional<Failure> releaseFailure_;
};

}  // namespace kiln::cuda

#endif
