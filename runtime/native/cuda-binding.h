// The JavaScript class around a GPU driven through CUDA. It numbers what it makes and takes the numbers back, so that no
// call can reach an object that is gone. Nothing here waits for the GPU but `readSync` and `runSync`; the rest is queued, in
// order, for the device's thread. Whoever calls has checked launches against kernels, memories and limits.
//   open(driver, number) -> Promise<traits>          free(id)
//   allocate(bytes) -> id                            write(id, offset, data)
//   read(id, offset, into) -> Promise, readSync      load(kernels, code) -> Promise<id>
//   compile(kernels, source, compiler) -> Promise<id>
//   sequence(module, [{ kernel, groups, ranges: [id, offset, bytes, stride, writes, ...] }]) -> id
//   run(id, steps) -> Promise<number>, runSync       stop(id)
//   close() -> Promise
#ifndef KILN_CUDA_BINDING_H
#define KILN_CUDA_BINDING_H

#include <napi.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda-sequence.h"
#include "cuda-staging.h"
#include "gpu-queue.h"

namespace kiln::cuda {

class DeviceBinding : public Napi::ObjectWrap<DeviceBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit DeviceBinding(const Napi::CallbackInfo &info);

 private:
  template <class T>
  using Table = std::unordered_map<std::uint64_t, std::shared_ptr<T>>;

  // All that is alive of a device. What was made last goes first.
  struct Owned {
    std::shared_ptr<Device> device;
    std::shared_ptr<Staging> staging;
    Table<Memory> memories;
    Table<Module> modules;
    Table<Sequence> sequences;
  };

  Napi::Value open(const Napi::CallbackInfo &info);
  Napi::Value allocate(const Napi::CallbackInfo &info);
  Napi::Value free(const Napi::CallbackInfo &info);
  Napi::Value write(const Napi::CallbackInfo &info);
  Napi::Value read(const Napi::CallbackInfo &info);
  Napi::Value readSync(const Napi::CallbackInfo &info);
  Napi::Value load(const Napi::CallbackInfo &info);
  Napi::Value compile(const Napi::CallbackInfo &info);
  Napi::Value sequence(const Napi::CallbackInfo &info);
  Napi::Value run(const Napi::CallbackInfo &info);
  Napi::Value runSync(const Napi::CallbackInfo &info);
  Napi::Value stop(const Napi::CallbackInfo &info);
  Napi::Value close(const Napi::CallbackInfo &info);

  template <auto Method>
  Napi::Value guarded(const Napi::CallbackInfo &info) {
    return guardedCall<Method>(*this, info);
  }

  // A promise of the module that `make` loads on the GPU thread.
  Napi::Value promiseModule(const Napi::CallbackInfo &info,
                            std::function<Result<std::shared_ptr<Module>>(std::shared_ptr<Device>)> make);
  bool readRanges(Napi::Value value, std::vector<Binding> &bindings) const;

  Owned owned_;
  std::uint64_t nextId_ = 1;
  GpuQueue queue_;
};

}  // namespace kiln::cuda

#endif
