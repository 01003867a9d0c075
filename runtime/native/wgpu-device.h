// A device of wgpu-native: adapter, queue, limits, memory, and what went wrong on it. Opened, used and destroyed on the
// GPU thread, except for `allocate`, `lost` and reading what does not change. wgpu-native ends the process for a command
// buffer that is not valid and for most calls after a device is gone, so every group of calls stands in an `ErrorCapture`
// and nothing is submitted after an error.
#ifndef KILN_WGPU_DEVICE_H
#define KILN_WGPU_DEVICE_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "failure.h"
#include "wgpu-handle.h"

namespace kiln {

// `Failure::call` of what callers tell apart.
inline constexpr const char *lostDevice = "lost";
inline constexpr const char *outOfMemory = "memory";

// Collects the errors that wgpu-native reports in this thread meanwhile: it does so inside the call that is at fault.
class ErrorCapture {
 public:
  ErrorCapture();
  ~ErrorCapture();
  ErrorCapture(const ErrorCapture &) = delete;
  ErrorCapture &operator=(const ErrorCapture &) = delete;

  bool failed() const { return first_.has_value(); }
  // The first error, as the failure of `call`, or as one of memory.
  Failure failure(const char *call) const;

  // What the device's callback for errors calls.
  static void note(WGPUErrorType type, WGPUStringView text);

 private:
  struct Noted {
    WGPUErrorType type;
    std::string text;
  };
  ErrorCapture *outer_;
  std::optional<Noted> first_;
};

// What a driver says of an adapter.
struct AdapterDescription {
  std::string name;
  std::string driver;
  WGPUAdapterType type;
  WGPUBackendType api;
  // Whether threads of a subgroup can read each other's values, and the least size of one; 0 if the driver does not tell.
  bool subgroups = false;
  std::uint32_t leastSubgroup = 0;
  // Whether it computes with halves.
  bool halves = false;
};

// A buffer on the device.
class WgpuBuffer {
 public:
  WgpuBuffer(const WgpuApi &api, BufferHandle handle, std::uint64_t bytes)
      : api_(api), handle_(std::move(handle)), bytes_(bytes) {}
  ~WgpuBuffer() { api_.BufferDestroy(handle_.get()); }
  WgpuBuffer(const WgpuBuffer &) = delete;
  WgpuBuffer &operator=(const WgpuBuffer &) = delete;

  WGPUBuffer get() const { return handle_.get(); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  const WgpuApi &api_;
  BufferHandle handle_;
  std::uint64_t bytes_;
};

// Names of the adapters there are, as people should see them.
Result<std::vector<AdapterDescription>> listAdapters(const WgpuApi &api);

class WgpuDevice {
 public:
  // Opens the best adapter: one whose name or driver holds `wanted`, else a discrete GPU, an integrated one, a software one.
  static Result<std::shared_ptr<WgpuDevice>> open(const WgpuApi &api, const std::string &wanted);
  ~WgpuDevice();
  WgpuDevice(const WgpuDevice &) = delete;
  WgpuDevice &operator=(const WgpuDevice &) = delete;

  const WgpuApi &api() const { return api_; }
  WGPUDevice device() const { return device_.get(); }
  const AdapterDescription &description() const { return description_; }
  const WGPULimits &limits() const { return limits_; }

  // Nothing while the device is usable, else why it is not.
  std::optional<Failure> lost() const;
  // Destroys the device, as a driver that resets would; for tests of what happens then.
  void lose();

  Result<std::shared_ptr<WgpuBuffer>> allocate(std::uint64_t bytes, WGPUBufferUsage usage) const;
  Result<bool> write(const WgpuBuffer &buffer, std::uint64_t offset, std::span<const std::byte> data);
  // Copies to `into`, which has at most `pieceBytes` bytes, once all work before is done.
  Result<bool> read(const WgpuBuffer &buffer, std::uint64_t offset, std::span<std::byte> into);

  // Makes a command buffer and hands it to the queue; `encode` gets an encoder. A number to wait for.
  template <class Encode>
  Result<WGPUSubmissionIndex> submit(const char *call, Encode encode) {
    if (auto why = lost()) return *why;
    ErrorCapture errors;
    CommandEncoderHandle encoder(api_, api_.DeviceCreateCommandEncoder(device(), nullptr));
    encode(encoder.get());
    CommandBufferHandle commands(api_, api_.CommandEncoderFinish(encoder.get(), nullptr));
    return submitFinished(call, errors, commands.get());
  }

  // Waits for a submission, or for all; then says whether the device lives.
  Result<bool> wait(const char *call, const WGPUSubmissionIndex *index);

  static constexpr std::size_t pieceBytes = std::size_t{4} << 20;

 private:
  WgpuDevice(const WgpuApi &api, InstanceHandle instance, AdapterHandle adapter, AdapterDescription description)
      : api_(api),
        instance_(std::move(instance)),
        adapter_(std::move(adapter)),
        description_(std::move(description)) {}

  std::optional<Failure> request();
  Result<WGPUSubmissionIndex> submitFinished(const char *call, const ErrorCapture &errors, WGPUCommandBuffer commands);
  // Also the failure of whatever is under way.
  Failure markLost(const std::string &reason);

  const WgpuApi &api_;
  InstanceHandle instance_;
  AdapterHandle adapter_;
  DeviceHandle device_;
  QueueHandle queue_;
  AdapterDescription description_;
  WGPULimits limits_{};
  struct Mapped {
    WGPUMapAsyncStatus status;
    std::string text;
  };
  // Reads go through a buffer of their own; the answer to its last mapping may come as late as at its end.
  std::optional<Mapped> mapped_;
  std::shared_ptr<WgpuBuffer> staging_;
  // Bytes written since the last submission: the library holds a copy of them until then.
  std::uint64_t unsent_ = 0;
  std::atomic<bool> isLost_{false};
  mutable std::mutex lossMutex_;
  std::string lossReason_;
};

}  // namespace kiln

#endif
