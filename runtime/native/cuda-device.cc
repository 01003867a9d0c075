#include "cuda-device.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace kiln::cuda {

Memory::~Memory() { device_->release(device_->driver().cuMemFree_v2, address_); }

Result<std::shared_ptr<Device>> Device::open(const Driver &driver, int ordinal) {
  int count = 0;
  if (auto failure = driver.call(driver.cuDeviceGetCount, &count)) return *failure;
  if (ordinal >= count)
    return Failure{"gpu", count == 0 ? "the driver knows no GPU"
                                     : "there is no GPU number " + std::to_string(ordinal) + ", of " +
                                           std::to_string(count)};
  CUdevice device = 0;
  if (auto failure = driver.call(driver.cuDeviceGet, &device, ordinal)) return *failure;
  std::shared_ptr<Device> opened(new Device(driver, device));
  if (auto failure = opened->readTraits()) return *failure;
  if (auto failure = opened->prepare()) return *failure;
  return opened;
}

std::optional<Failure> Device::readTraits() {
  std::array<char, 256> name{};
  if (auto failure = driver_.call(driver_.cuDeviceGetName, name.data(), static_cast<int>(name.size()) - 1, device_))
    return failure;
  traits_.name = name.data();
  if (auto failure = driver_.call(driver_.cuDeviceTotalMem_v2, &traits_.memoryBytes, device_)) return failure;
  const std::pair<DeviceAttribute, int *> attributes[] = {
      {COMPUTE_CAPABILITY_MAJOR, &traits_.major},
      {COMPUTE_CAPABILITY_MINOR, &traits_.minor},
      {MULTIPROCESSOR_COUNT, &traits_.multiprocessors},
      {MAX_THREADS_PER_BLOCK, &traits_.threads},
      {MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, &traits_.sharedBytes},
      {MAX_GRID_DIM_X, &traits_.groups},
      {CLOCK_RATE, &traits_.clock},
      {MEMORY_CLOCK_RATE, &traits_.memoryClock},
      {GLOBAL_MEMORY_BUS_WIDTH, &traits_.memoryBus},
  };
  for (const auto &[attribute, value] : attributes)
    if (auto failure = driver_.call(driver_.cuDeviceGetAttribute, value, attribute, device_)) return failure;
  return std::nullopt;
}

// What is made here and then fails is given back by the destructor.
std::optional<Failure> Device::prepare() {
  if (auto failure = driver_.call(driver_.cuDevicePrimaryCtxRetain, &context_, device_)) return failure;
  if (auto failure = call(driver_.cuStreamCreate, &stream_, streamNonBlocking)) return failure;
  for (CUevent &event : events_)
    if (auto failure = call(driver_.cuEventCreate, &event, eventDisableTiming)) return failure;
  void *bounce = nullptr;
  if (auto failure = call(driver_.cuMemHostAlloc, &bounce, pieceBytes, 0u)) return failure;
  bounce_ = static_cast<std::byte *>(bounce);
  return std::nullopt;
}

std::optional<Failure> Device::lost() const {
  std::lock_guard lock(mutex_);
  return lost_;
}

Failure Device::lose(const Failure &failure) {
  std::lock_guard lock(mutex_);
  if (!lost_) lost_ = Failure{"lost", failure.call == "lost" ? failure.text : failure.call + ": " + failure.text};
  return *lost_;
}

void Device::noteRelease(const std::optional<Failure> &failure) {
  if (!failure) return;
  if (failure->call == "lost") lose(*failure);
  std::lock_guard lock(mutex_);
  if (!releaseFailure_) releaseFailure_ = failure;
}

Result<std::shared_ptr<Memory>> Device::allocate(std::size_t bytes) {
  if (auto why = lost()) return *why;
  CUdeviceptr address = 0;
  if (auto failure = call(driver_.cuMemAlloc_v2, &address, bytes + slackBytes)) return *failure;
  auto memory = std::make_shared<Memory>(shared_from_this(), address, bytes);
  if (auto failure =
          call(driver_.cuMemsetD8Async, address, static_cast<unsigned char>(0), bytes + slackBytes, stream_))
    return *failure;
  return memory;
}

std::optional<Failure> Device::read(const Memory &memory, std::size_t offset, std::span<std::byte> into) {
  if (auto why = lost()) return why;
  while (!into.empty()) {
    const std::size_t piece = std::min(into.size(), pieceBytes);
    if (auto failure = call(driver_.cuMemcpyDtoHAsync_v2, static_cast<void *>(bounce_), memory.address() + offset,
                            piece, stream_))
      return failure;
    if (auto failure = finish()) return failure;
    std::memcpy(into.data(), bounce_, piece);
    into = into.subspan(piece);
    offset += piece;
  }
  return std::nullopt;
}

std::optional<Failure> Device::write(const Memory &memory, std::size_t offset, std::span<const std::byte> data) {
  if (auto why = lost()) return why;
  if (auto failure = call(driver_.cuMemcpyHtoDAsync_v2, memory.address() + offset,
                          static_cast<const void *>(data.data()), data.size(), stream_))
    return lose(*failure);
  return finish();
}

std::optional<Failure> Device::finish() {
  // What the work before may have failed with shows here; none of its results can be relied on.
  if (auto failure = call(driver_.cuStreamSynchronize, stream_)) return lose(*failure);
  return std::nullopt;
}

std::optional<Failure> Device::close() {
  if (context_ != nullptr) {
    if (stream_ != nullptr) {
      settle();
      release(driver_.cuStreamDestroy_v2, std::exchange(stream_, nullptr));
    }
    for (CUevent &event : events_)
      if (event != nullptr) release(driver_.cuEventDestroy_v2, std::exchange(event, nullptr));
    if (bounce_ != nullptr) release(driver_.cuMemFreeHost, static_cast<void *>(std::exchange(bounce_, nullptr)));
    noteRelease(driver_.call(driver_.cuDevicePrimaryCtxRelease_v2, device_));
    // Only this thread's; others set it before each call anyway.
    noteRelease(driver_.call(driver_.cuCtxSetCurrent, CUcontext{nullptr}));
    context_ = nullptr;
  }
  std::lock_guard lock(mutex_);
  return releaseFailure_;
}

}  // namespace kiln::cuda
