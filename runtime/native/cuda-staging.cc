#include "cuda-staging.h"

#include <cstring>
#include <utility>

namespace kiln::cuda {

Result<std::shared_ptr<Staging>> Staging::make(std::shared_ptr<Device> device) {
  std::shared_ptr<Staging> made(new Staging(std::move(device)));
  Device &on = *made->device_;
  const Driver &driver = on.driver();
  if (auto failure = on.call(driver.cuMemHostAlloc, &made->all_, slotBytes * made->slots_.size(), 0u)) return *failure;
  auto *data = static_cast<std::byte *>(made->all_);
  for (Slot &slot : made->slots_) {
    slot.data = std::exchange(data, data + slotBytes);
    if (auto failure = on.call(driver.cuEventCreate, &slot.sent, eventDisableTiming)) return *failure;
  }
  return made;
}

Staging::~Staging() {
  // A copy that is under way reads from here.
  device_->settle();
  for (Slot &slot : slots_)
    if (slot.sent != nullptr) device_->release(device_->driver().cuEventDestroy_v2, slot.sent);
  if (all_ != nullptr) device_->release(device_->driver().cuMemFreeHost, all_);
}

std::optional<std::size_t> Staging::take(std::span<const std::byte> data) {
  if (data.size() > slotBytes) return std::nullopt;
  for (std::size_t i = 0; i < slots_.size(); i++) {
    Slot &slot = slots_[i];
    if (!isFree(slot)) continue;
    std::memcpy(slot.data, data.data(), data.size());
    slot.state.store(State::taken, std::memory_order_relaxed);
    return i;
  }
  return std::nullopt;
}

bool Staging::isFree(Slot &slot) {
  switch (slot.state.load(std::memory_order_acquire)) {
    case State::free:
      return true;
    case State::taken:
      return false;
    case State::sent:
      // Not ready, or a fault that whoever waits for the stream will meet too: in either case the slot is not free.
      return !device_->call(device_->driver().cuEventQuery, slot.sent);
  }
  return false;
}

std::optional<Failure> Staging::send(std::size_t index, const Memory &memory, std::size_t offset, std::size_t bytes) {
  Slot &slot = slots_[index];
  if (auto why = device_->lost()) return why;
  const Driver &driver = device_->driver();
  if (auto failure = device_->call(driver.cuMemcpyHtoDAsync_v2, memory.address() + offset,
                                   static_cast<const void *>(slot.data), bytes, device_->stream()))
    return device_->lose(*failure);
  if (auto failure = device_->call(driver.cuEventRecord, slot.sent, device_->stream())) return device_->lose(*failure);
  slot.state.store(State::sent, std::memory_order_release);
  return std::nullopt;
}

}  // namespace kiln::cuda
