// Devices, contexts, streams, events and memory of the emulated driver.
#include <cstring>

#include "emulator.hpp"

using namespace emulated;

#define BEGIN(needs)                        \
  Entry entry(__func__, Entry::needs);      \
  if (entry.result() != SUCCESS) return entry.result();
// For functions that give something back: what is given back is gone, whatever they say.
#define BEGIN_RELEASE() Entry entry(__func__, Entry::context);
#define REQUIRE(condition, text)                                  \
  if (!(condition)) {                                             \
    emulator.misuse(std::string(__func__) + ": " + (text));       \
    return INVALID_VALUE;                                         \
  }

namespace {

struct Name {
  CUresult code;
  const char *name, *text;
};

constexpr Name names[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the provided PTX was compiled with an unsupported toolchain."},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {SYSTEM_DRIVER_MISMATCH, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver"},
};

const Name *nameOf(CUresult code) {
  for (const Name &name : names)
    if (name.code == code) return &name;
  return nullptr;
}

void *host(CUdeviceptr address) { return reinterpret_cast<void *>(address); }

}  // namespace

EMULATED CUresult cuInit(unsigned flags) {
  BEGIN(nothing)
  REQUIRE(flags == 0, "flags must be 0")
  emulator.initialised = true;
  return SUCCESS;
}

EMULATED CUresult cuGetErrorName(CUresult code, const char **text) {
  const Name *name = nameOf(code);
  *text = name == nullptr ? nullptr : name->name;
  return name == nullptr ? INVALID_VALUE : SUCCESS;
}

EMULATED CUresult cuGetErrorString(CUresult code, const char **text) {
  const Name *name = nameOf(code);
  *text = name == nullptr ? nullptr : name->text;
  return name == nullptr ? INVALID_VALUE : SUCCESS;
}

EMULATED CUresult cuDriverGetVersion(int *version) {
  BEGIN(nothing)
  emulator.readSettings();
  *version = emulator.driver;
  return SUCCESS;
}

EMULATED CUresult cuDeviceGetCount(int *count) {
  BEGIN(initialisation)
  emulator.readSettings();
  *count = emulator.gpus;
  return SUCCESS;
}

EMULATED CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  BEGIN(initialisation)
  REQUIRE(ordinal >= 0 && ordinal < emulator.gpus, "no such device")
  *device = ordinal;
  return SUCCESS;
}

EMULATED CUresult cuDeviceGetName(char *name, int length, CUdevice) {
  BEGIN(initialisation)
  std::strncpy(name, "Emulated GPU", static_cast<std::size_t>(length));
  return SUCCESS;
}

EMULATED CUresult cuDeviceGetAttribute(int *value, DeviceAttribute attribute, CUdevice) {
  BEGIN(initialisation)
  switch (attribute) {
    case MAX_THREADS_PER_BLOCK:
      *value = 1024;
      return SUCCESS;
    case MAX_GRID_DIM_X:
      *value = 2147483647;
      return SUCCESS;
    case CLOCK_RATE:
      *value = 1000000;
      return SUCCESS;
    case MULTIPROCESSOR_COUNT:
      *value = 2;
      return SUCCESS;
    case MEMORY_CLOCK_RATE:
      *value = 1000000;
      return SUCCESS;
    case GLOBAL_MEMORY_BUS_WIDTH:
      *value = 64;
      return SUCCESS;
    case COMPUTE_CAPABILITY_MAJOR:
      *value = emulator.capability / 10;
      return SUCCESS;
    case COMPUTE_CAPABILITY_MINOR:
      *value = emulator.capability % 10;
      return SUCCESS;
    case MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      *value = 99 * 1024;
      return SUCCESS;
  }
  REQUIRE(false, "unknown attribute")
}

EMULATED CUresult cuDeviceTotalMem_v2(std::size_t *bytes, CUdevice) {
  BEGIN(initialisation)
  *bytes = emulator.memory;
  return SUCCESS;
}

EMULATED CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  BEGIN(initialisation)
  emulator.contexts++;
  *context = reinterpret_cast<CUcontext>(static_cast<std::uintptr_t>(device) + 0x1000);
  return SUCCESS;
}

EMULATED CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  Entry entry(__func__, Entry::initialisation);
  REQUIRE(emulator.contexts > 0, "more often than it was retained")
  if (--emulator.contexts == 0) {
    emulator.reportLeaks();
    emulator.sticky = SUCCESS;
  }
  return entry.released();
}

EMULATED CUresult cuCtxSetCurrent(CUcontext context) {
  BEGIN(initialisation)
  current = context != nullptr;
  return SUCCESS;
}

EMULATED CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
  BEGIN(context)
  REQUIRE(flags <= 1, "unknown flags")
  auto *made = new Stream;
  emulator.streams.insert(made);
  *stream = reinterpret_cast<CUstream>(made);
  return SUCCESS;
}

EMULATED CUresult cuStreamSynchronize(CUstream stream) {
  BEGIN(context)
  if (!alive(emulator.streams, stream, __func__)) return INVALID_HANDLE;
  return emulator.drain(*reinterpret_cast<Stream *>(stream));
}

EMULATED CUresult cuStreamDestroy_v2(CUstream stream) {
  BEGIN_RELEASE()
  if (!alive(emulator.streams, stream, __func__)) return INVALID_HANDLE;
  emulator.drain(*reinterpret_cast<Stream *>(stream));
  emulator.streams.erase(stream);
  delete reinterpret_cast<Stream *>(stream);
  return entry.released();
}

EMULATED CUresult cuEventCreate(CUevent *event, unsigned) {
  BEGIN(context)
  auto *made = new Event;
  emulator.events.insert(made);
  *event = reinterpret_cast<CUevent>(made);
  return SUCCESS;
}

EMULATED CUresult cuEventRecord(CUevent event, CUstream stream) {
  BEGIN(context)
  if (!alive(emulator.events, event, __func__) || !alive(emulator.streams, stream, __func__)) return INVALID_HANDLE;
  return emulator.enqueue(stream, nullptr, reinterpret_cast<Event *>(event));
}

EMULATED CUresult cuEventQuery(CUevent event) {
  BEGIN(context)
  if (!alive(emulator.events, event, __func__)) return INVALID_HANDLE;
  const auto &found = *reinterpret_cast<Event *>(event);
  return found.reached == found.asked ? SUCCESS : NOT_READY;
}

EMULATED CUresult cuEventSynchronize(CUevent event) {
  BEGIN(context)
  if (!alive(emulator.events, event, __func__)) return INVALID_HANDLE;
  auto &found = *reinterpret_cast<Event *>(event);
  for (void *stream : emulator.streams)
    if (found.reached < found.asked) emulator.drain(*static_cast<Stream *>(stream), &found);
  return emulator.sticky;
}

EMULATED CUresult cuEventDestroy_v2(CUevent event) {
  BEGIN_RELEASE()
  if (!alive(emulator.events, event, __func__)) return INVALID_HANDLE;
  emulator.drainAll();
  emulator.events.erase(event);
  delete reinterpret_cast<Event *>(event);
  return entry.released();
}

EMULATED CUresult cuMemAlloc_v2(CUdeviceptr *memory, std::size_t bytes) {
  BEGIN(context)
  REQUIRE(bytes > 0, "no bytes")
  if (emulator.used + bytes > emulator.memory) return OUT_OF_MEMORY;
  emulator.used += bytes;
  *memory = emulator.add(emulator.device, bytes, 0xff);
  return SUCCESS;
}

EMULATED CUresult cuMemFree_v2(CUdeviceptr memory) {
  BEGIN_RELEASE()
  // As the driver does: what uses it comes to its end first.
  emulator.drainAll();
  if (const auto found = emulator.device.find(memory); found != emulator.device.end())
    emulator.used -= found->second.bytes;
  if (!emulator.remove(emulator.device, memory, __func__)) return INVALID_VALUE;
  return entry.released();
}

EMULATED CUresult cuMemHostAlloc(void **memory, std::size_t bytes, unsigned flags) {
  BEGIN(context)
  REQUIRE(bytes > 0 && flags == 0, "no bytes, or unknown flags")
  *memory = reinterpret_cast<void *>(emulator.add(emulator.pinned, bytes, 0xff));
  return SUCCESS;
}

EMULATED CUresult cuMemFreeHost(void *memory) {
  BEGIN_RELEASE()
  for (void *stream : emulator.streams)
    REQUIRE(emulator.sticky != SUCCESS || static_cast<Stream *>(stream)->queue.empty(), "while a stream may still use it")
  if (!emulator.remove(emulator.pinned, reinterpret_cast<std::uintptr_t>(memory), __func__)) return INVALID_VALUE;
  return entry.released();
}

EMULATED CUresult cuMemsetD8Async(CUdeviceptr memory, unsigned char value, std::size_t bytes, CUstream stream) {
  BEGIN(context)
  if (!alive(emulator.streams, stream, __func__)) return INVALID_HANDLE;
  REQUIRE(emulator.find(emulator.device, host(memory), bytes) != nullptr, "memory that is not alive")
  return emulator.enqueue(stream, [=] {
    std::memset(host(memory), value, bytes);
    return SUCCESS;
  });
}

EMULATED CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, std::size_t bytes, CUstream stream) {
  BEGIN(context)
  if (!alive(emulator.streams, stream, __func__)) return INVALID_HANDLE;
  REQUIRE(emulator.find(emulator.device, host(to), bytes) != nullptr, "memory that is not alive")
  if (emulator.find(emulator.pinned, from, bytes) != nullptr)
    return emulator.enqueue(stream, [=]() -> CUresult {
      REQUIRE(emulator.find(emulator.pinned, from, bytes) != nullptr, "pinned memory that was freed meanwhile")
      std::memcpy(host(to), from, bytes);
      return SUCCESS;
    });
  // Memory that is not pinned has been copied when the call returns.
  const auto *data = static_cast<const unsigned char *>(from);
  return emulator.enqueue(stream, [to, copy = std::vector<unsigned char>(data, data + bytes)] {
    std::memcpy(host(to), copy.data(), copy.size());
    return SUCCESS;
  });
}

EMULATED CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  BEGIN(context)
  if (!alive(emulator.streams, stream, __func__)) return INVALID_HANDLE;
  REQUIRE(emulator.find(emulator.device, host(from), bytes) != nullptr, "memory that is not alive")
  return emulator.enqueue(stream, [=] {
    std::memcpy(to, host(from), bytes);
    return SUCCESS;
  });
}
