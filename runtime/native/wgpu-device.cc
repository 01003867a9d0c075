#include "wgpu-device.h"

#include <cstring>
#include <utility>

#include "panic-guard.h"

namespace kiln {

namespace {

thread_local ErrorCapture *current = nullptr;

#if defined(__APPLE__)
constexpr WGPUInstanceBackend graphicsApis = WGPUInstanceBackend_Metal;
#elif defined(_WIN32)
constexpr WGPUInstanceBackend graphicsApis = WGPUInstanceBackend_DX12 | WGPUInstanceBackend_Vulkan;
#else
constexpr WGPUInstanceBackend graphicsApis = WGPUInstanceBackend_Vulkan;
#endif

// How much may be written before the queue is made to take it.
constexpr std::uint64_t mostUnsent = std::uint64_t{64} << 20;

// A feature of the library's own, in the enumeration of the standard's.
constexpr auto subgroupFeature = static_cast<WGPUFeatureName>(WGPUNativeFeature_Subgroup);

InstanceHandle createInstance(const WgpuApi &api) {
  WGPUInstanceExtras extras{};
  // The values of one enumeration, continued by the library's own header.
  extras.chain.sType = static_cast<WGPUSType>(WGPUSType_InstanceExtras);
  extras.backends = graphicsApis;
  WGPUInstanceDescriptor descriptor{};
  descriptor.nextInChain = &extras.chain;
  return InstanceHandle(api, api.CreateInstance(&descriptor));
}

AdapterDescription describe(const WgpuApi &api, WGPUAdapter adapter) {
  WGPUAdapterInfo info{};
  api.AdapterGetInfo(adapter, &info);
  const std::string vendor = toString(info.vendor), details = toString(info.description);
  AdapterDescription description{toString(info.device), vendor.empty() ? details : vendor + " " + details,
                                 info.adapterType, info.backendType};
  description.subgroups = api.AdapterHasFeature(adapter, subgroupFeature) != 0;
  description.leastSubgroup = info.subgroupMinSize;
  description.halves = api.AdapterHasFeature(adapter, WGPUFeatureName_ShaderF16) != 0;
  api.AdapterInfoFreeMembers(info);
  return description;
}

struct FoundAdapter {
  AdapterHandle handle;
  AdapterDescription description;
};

// All adapters that compute: what has no graphics API behind it only pretends to.
std::vector<FoundAdapter> findAdapters(const WgpuApi &api, WGPUInstance instance) {
  WGPUInstanceEnumerateAdapterOptions options{};
  options.backends = graphicsApis;
  std::vector<WGPUAdapter> raw(api.InstanceEnumerateAdapters(instance, &options, nullptr));
  raw.resize(raw.empty() ? 0 : api.InstanceEnumerateAdapters(instance, &options, raw.data()));
  std::vector<FoundAdapter> found;
  for (WGPUAdapter adapter : raw) {
    FoundAdapter next{AdapterHandle(api, adapter), describe(api, adapter)};
    if (next.description.api != WGPUBackendType_Null) found.push_back(std::move(next));
  }
  return found;
}

int rank(WGPUAdapterType type) {
  switch (type) {
    case WGPUAdapterType_DiscreteGPU:
      return 3;
    case WGPUAdapterType_IntegratedGPU:
      return 2;
    case WGPUAdapterType_Unknown:
      return 1;
    default:
      return 0;
  }
}

bool matches(const AdapterDescription &description, const std::string &wanted) {
  return description.name.find(wanted) != std::string::npos || description.driver.find(wanted) != std::string::npos;
}

constexpr const char *panicked = "the driver lost it in the middle of a call";

// What a callback of a request leaves behind.
template <class T>
struct Answer {
  bool done = false;
  T value = nullptr;
  std::string text;
};

}  // namespace

ErrorCapture::ErrorCapture() : outer_(std::exchange(current, this)) {}
ErrorCapture::~ErrorCapture() { current = outer_; }

void ErrorCapture::note(WGPUErrorType type, WGPUStringView text) {
  if (current != nullptr && !current->first_) current->first_ = Noted{type, toString(text)};
}

Failure ErrorCapture::failure(const char *call) const {
  const bool isMemory = first_->type == WGPUErrorType_OutOfMemory ||
                        // wgpu-native 29 reports it as an error of validation.
                        first_->text.find("Not enough memory") != std::string::npos;
  return {isMemory ? outOfMemory : call, first_->text};
}

Result<std::vector<AdapterDescription>> listAdapters(const WgpuApi &api) {
  const InstanceHandle instance = createInstance(api);
  if (!instance) return Failure{"adapter", "there is no instance"};
  std::vector<AdapterDescription> list;
  for (FoundAdapter &each : findAdapters(api, instance.get())) list.push_back(std::move(each.description));
  return list;
}

Result<std::shared_ptr<WgpuDevice>> WgpuDevice::open(const WgpuApi &api, const std::string &wanted) {
  InstanceHandle instance = createInstance(api);
  if (!instance) return Failure{"adapter", "there is no instance"};
  FoundAdapter best{};
  std::string names;
  for (FoundAdapter &each : findAdapters(api, instance.get())) {
    names += (names.empty() ? "" : ", ") + each.description.name;
    if (!matches(each.description, wanted)) continue;
    if (!best.handle || rank(each.description.type) > rank(best.description.type)) best = std::move(each);
  }
  if (!best.handle) return Failure{"adapter", names.empty() ? "there is none" : "there are only: " + names};
  std::shared_ptr<WgpuDevice> device(
      new WgpuDevice(api, std::move(instance), std::move(best.handle), std::move(best.description)));
  if (auto failure = device->request()) return *failure;
  return device;
}

std::optional<Failure> WgpuDevice::request() {
  // All that the adapter has, not the little that WebGPU promises.
  WGPULimits wanted{};
  api_.AdapterGetLimits(adapter_.get(), &wanted);
  wanted.nextInChain = nullptr;
  WGPUDeviceDescriptor descriptor{};
  descriptor.requiredLimits = &wanted;
  std::vector<WGPUFeatureName> features;
  if (description_.subgroups) features.push_back(subgroupFeature);
  if (description_.halves) features.push_back(WGPUFeatureName_ShaderF16);
  descriptor.requiredFeatures = features.data();
  descriptor.requiredFeatureCount = features.size();
  descriptor.deviceLostCallbackInfo.mode = WGPUCallbackMode_AllowSpontaneous;
  descriptor.deviceLostCallbackInfo.userdata1 = this;
  descriptor.deviceLostCallbackInfo.callback = [](WGPUDevice const *, WGPUDeviceLostReason, WGPUStringView text,
                                                  void *self, void *) {
    static_cast<WgpuDevice *>(self)->markLost(toString(text));
  };
  // Without this callback the library ends the process at the first error.
  descriptor.uncapturedErrorCallbackInfo.callback = [](WGPUDevice const *, WGPUErrorType type, WGPUStringView text,
                                                       void *, void *) { ErrorCapture::note(type, text); };
  Answer<WGPUDevice> answer;
  WGPURequestDeviceCallbackInfo callback{};
  callback.mode = WGPUCallbackMode_AllowProcessEvents;
  callback.userdata1 = &answer;
  callback.callback = [](WGPURequestDeviceStatus, WGPUDevice device, WGPUStringView text, void *to, void *) {
    *static_cast<Answer<WGPUDevice> *>(to) = {true, device, toString(text)};
  };
  api_.AdapterRequestDevice(adapter_.get(), &descriptor, callback);
  while (!answer.done) api_.InstanceProcessEvents(instance_.get());
  if (answer.value == nullptr) return Failure{"device", answer.text};
  device_ = DeviceHandle(api_, answer.value);
  queue_ = QueueHandle(api_, api_.DeviceGetQueue(device()));
  api_.DeviceGetLimits(device(), &limits_);
  return std::nullopt;
}

WgpuDevice::~WgpuDevice() {
  // What the queue still runs uses the buffers; the library frees nothing before that is over.
  if (device_) static_cast<void>(wait("close", nullptr));
  staging_.reset();
  // Here the library waits once more, and panics if the device is gone.
  static_cast<void>(survives([this] {
    queue_ = QueueHandle();
    device_ = DeviceHandle();
  }));
}

std::optional<Failure> WgpuDevice::lost() const {
  if (!isLost_.load(std::memory_order_acquire)) return std::nullopt;
  std::lock_guard lock(lossMutex_);
  return Failure{lostDevice, lossReason_};
}

Failure WgpuDevice::markLost(const std::string &reason) {
  std::lock_guard lock(lossMutex_);
  if (lossReason_.empty()) lossReason_ = reason.empty() ? "the driver gives no reason" : reason;
  isLost_.store(true, std::memory_order_release);
  return {lostDevice, lossReason_};
}

void WgpuDevice::lose() {
  // First the mark: the library does not call back for a device that is destroyed.
  markLost("the device was destroyed");
  api_.DeviceDestroy(device());
}

Result<std::shared_ptr<WgpuBuffer>> WgpuDevice::allocate(std::uint64_t bytes, WGPUBufferUsage usage) const {
  if (auto why = lost()) return *why;
  ErrorCapture errors;
  WGPUBufferDescriptor descriptor{};
  descriptor.size = bytes;
  descriptor.usage = usage;
  // A handle comes back also after an error.
  BufferHandle handle(api_, api_.DeviceCreateBuffer(device(), &descriptor));
  if (errors.failed()) return errors.failure("allocate");
  if (!handle) return Failure{outOfMemory, "there is no buffer"};
  return std::make_shared<WgpuBuffer>(api_, std::move(handle), bytes);
}

Result<bool> WgpuDevice::write(const WgpuBuffer &buffer, std::uint64_t offset, std::span<const std::byte> data) {
  if (auto why = lost()) return *why;
  ErrorCapture errors;
  api_.QueueWriteBuffer(queue_.get(), buffer.get(), offset, data.data(), data.size());
  if (errors.failed()) return errors.failure("write");
  unsent_ += data.size();
  if (unsent_ < mostUnsent) return true;
  if (!survives([this] { api_.QueueSubmit(queue_.get(), 0, nullptr); })) return markLost(panicked);
  unsent_ = 0;
  if (errors.failed()) return errors.failure("write");
  return wait("write", nullptr);
}

Result<bool> WgpuDevice::read(const WgpuBuffer &buffer, std::uint64_t offset, std::span<std::byte> into) {
  if (!staging_ || staging_->bytes() < into.size()) {
    auto made = allocate(into.size() <= 4096 ? 4096 : pieceBytes, WGPUBufferUsage_MapRead | WGPUBufferUsage_CopyDst);
    if (!made.ok()) return made.failure();
    staging_ = std::move(made.value());
  }
  auto sent = submit("read", [&](WGPUCommandEncoder encoder) {
    api_.CommandEncoderCopyBufferToBuffer(encoder, buffer.get(), offset, staging_->get(), 0, into.size());
  });
  if (!sent.ok()) return sent.failure();
  ErrorCapture errors;
  mapped_.reset();
  WGPUBufferMapCallbackInfo callback{};
  callback.mode = WGPUCallbackMode_AllowProcessEvents;
  callback.userdata1 = this;
  callback.callback = [](WGPUMapAsyncStatus status, WGPUStringView text, void *self, void *) {
    static_cast<WgpuDevice *>(self)->mapped_ = Mapped{status, toString(text)};
  };
  api_.BufferMapAsync(staging_->get(), WGPUMapMode_Read, 0, into.size(), callback);
  if (auto waited = wait("read", nullptr); !waited.ok()) return waited.failure();
  // Polling has called back; a range that is not mapped must not be asked for.
  if (!mapped_) api_.InstanceProcessEvents(instance_.get());
  if (errors.failed()) return errors.failure("read");
  if (!mapped_ || mapped_->status != WGPUMapAsyncStatus_Success)
    return Failure{"read", mapped_ ? mapped_->text : "the buffer was not mapped"};
  const void *data = api_.BufferGetConstMappedRange(staging_->get(), 0, into.size());
  std::memcpy(into.data(), data, into.size());
  api_.BufferUnmap(staging_->get());
  return true;
}

Result<WGPUSubmissionIndex> WgpuDevice::submitFinished(const char *call, const ErrorCapture &errors,
                                                       WGPUCommandBuffer commands) {
  if (errors.failed()) return errors.failure(call);
  if (commands == nullptr) return Failure{call, "there is no command buffer"};
  if (auto why = lost()) return *why;
  WGPUSubmissionIndex index = 0;
  if (!survives([&] { index = api_.QueueSubmitForIndex(queue_.get(), 1, &commands); })) return markLost(panicked);
  unsent_ = 0;
  if (errors.failed()) return errors.failure(call);
  return index;
}

Result<bool> WgpuDevice::wait(const char *call, const WGPUSubmissionIndex *index) {
  if (auto why = lost()) return *why;
  ErrorCapture errors;
  // What it returns says nothing: it has been seen to say "empty" with work under way.
  if (!survives([&] { api_.DevicePoll(device(), true, index); })) return markLost(panicked);
  if (auto why = lost()) return *why;
  if (errors.failed()) return errors.failure(call);
  return true;
}

}  // namespace kiln
