// The JavaScript class around a device of wgpu-native. It numbers what it makes and takes the numbers back, so that no
// call can reach an object that is gone. Nothing here waits for the driver but `readSync` and `runSync`; the rest is
// queued, in order, for the device's GPU thread. Bounds are checked by whoever calls, and by the library.
//   open(library, adapter) -> Promise<{...}>        adapters(library) -> Promise<string[]>
//   allocate(bytes) -> id                           free(id)
//   write(id, offset, data)                         read(id, offset, into) -> Promise, readSync
//   load([{ name, text, uses }]) -> Promise<id>
//   sequence([{ module, kernel, groups, ranges: [id, offset, bytes, stride, ...] }]) -> id
//   run(id, steps) -> Promise<number>, runSync      stop(id)
//   lose()                                          close() -> Promise
#ifndef KILN_WGPU_BINDING_H
#define KILN_WGPU_BINDING_H

#include <napi.h>

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "gpu-queue.h"
#include "wgpu-sequence.h"

namespace kiln {

class WgpuBinding : public Napi::ObjectWrap<WgpuBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit WgpuBinding(const Napi::CallbackInfo &info);

 private:
  using Module = std::vector<PipelinePointer>;
  // What the GPU thread owns; it makes and destroys the device.
  struct Engine {
    std::shared_ptr<WgpuDevice> device;
    PipelineCache pipelines;
    // What went wrong with work that nobody waited for.
    std::optional<Failure> failed;
    // What `result` is to whoever waits for it.
    Result<long> outcome(Result<long> result);
  };
  template <class T>
  using Table = std::unordered_map<std::uint64_t, std::shared_ptr<T>>;

  Napi::Value open(const Napi::CallbackInfo &info);
  Napi::Value adapters(const Napi::CallbackInfo &info);
  Napi::Value allocate(const Napi::CallbackInfo &info);
  Napi::Value free(const Napi::CallbackInfo &info);
  Napi::Value write(const Napi::CallbackInfo &info);
  Napi::Value read(const Napi::CallbackInfo &info);
  Napi::Value readSync(const Napi::CallbackInfo &info);
  Napi::Value load(const Napi::CallbackInfo &info);
  Napi::Value sequence(const Napi::CallbackInfo &info);
  Napi::Value run(const Napi::CallbackInfo &info);
  Napi::Value runSync(const Napi::CallbackInfo &info);
  Napi::Value stop(const Napi::CallbackInfo &info);
  Napi::Value lose(const Napi::CallbackInfo &info);
  Napi::Value close(const Napi::CallbackInfo &info);

  template <auto Method>
  Napi::Value guarded(const Napi::CallbackInfo &info) {
    return guardedCall<Method>(*this, info);
  }

  // Queues `work`; the promise resolves to what it returns, or to what `value` makes of it and `held`.
  Napi::Value promise(const Napi::CallbackInfo &info, GpuQueue::Work work, GpuQueue::Value value = nullptr,
                      napi_value held = nullptr);
  // Runs `work` on the GPU thread and waits.
  Result<long> here(const GpuQueue::Work &work);
  // Queues `work` that nobody waits for; its failure is that of the next call that somebody does.
  void post(Napi::Env env, std::function<Result<bool>()> work);

  std::shared_ptr<Engine> engine_ = std::make_shared<Engine>();
  // The open device, for calls that do not go through the GPU thread; of the JavaScript thread.
  std::shared_ptr<WgpuDevice> device_;
  std::uint64_t nextId_ = 1;
  Table<WgpuBuffer> buffers_;
  Table<Module> modules_;
  Table<WgpuSequence> sequences_;
  GpuQueue queue_;
};

}  // namespace kiln

#endif
