// Pinned memory through which small writes reach a device without anybody waiting: JavaScript's thread copies what is to be
// written into a free slot, the GPU thread has it copied from there, and the slot is free again once that is done.
#ifndef KILN_CUDA_STAGING_H
#define KILN_CUDA_STAGING_H

#include <array>
#include <atomic>
#include <memory>
#include <span>

#include "cuda-device.h"

namespace kiln::cuda {

class Staging {
 public:
  static Result<std::shared_ptr<Staging>> make(std::shared_ptr<Device> device);
  ~Staging();
  Staging(const Staging &) = delete;
  Staging &operator=(const Staging &) = delete;

  static constexpr std::size_t slotBytes = std::size_t{256} << 10;

  // On JavaScript's thread: copies `data` into a free slot; its number, or nothing if none is free or large enough.
  std::optional<std::size_t> take(std::span<const std::byte> data);

  // On the GPU thread: queues the copy of a slot's first `bytes` bytes.
  std::optional<Failure> send(std::size_t slot, const Memory &memory, std::size_t offset, std::size_t bytes);

 private:
  enum class State { free, taken, sent };
  struct Slot {
    std::byte *data = nullptr;
    CUevent sent = nullptr;
    std::atomic<State> state{State::free};
  };

  explicit Staging(std::shared_ptr<Device> device) : device_(std::move(device)) {}
  bool isFree(Slot &slot);

  std::shared_ptr<Device> device_;
  std::array<Slot, 8> slots_;
  void *all_ = nullptr;
};

}  // namespace kiln::cuda

#endif
