// The addon: what JavaScript sees of it.
//   allocate(bytes) -> ArrayBuffer       zeroed, aligned, with readable slack behind it
//   floatMode() -> number                the calling thread's floating-point control register
//   endThreads()                         ends the threads of all GPU devices, before the process ends
//   new NativeProgram(image)             see native-program.h
//   new CudaDevice()                     see cuda-binding.h
//   new WgpuDevice()                     see wgpu-binding.h
#include <napi.h>

#include <exception>
#include <memory>

#include "addon-state.h"
#include "cuda-binding.h"
#include "float-mode.h"
#include "gpu-thread.h"
#include "native-program.h"
#include "wgpu-binding.h"

namespace kiln {

namespace {

Napi::Value allocate(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const double bytes = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
  if (!(bytes >= 0 && bytes <= 9007199254740991.0)) {
    throwFailure(env, {"allocate", "a size is a number of bytes"});
    return env.Undefined();
  }
  try {
    auto allocated = env.GetInstanceData<AddonState>()->device().allocate(static_cast<std::size_t>(bytes));
    if (!allocated.ok()) {
      throwFailure(env, allocated.failure());
      return env.Undefined();
    }
    auto region = std::make_unique<Region>(std::move(allocated.value()));
    napi_value buffer = nullptr;
    const napi_status status = napi_create_external_arraybuffer(
        env, region->data(), static_cast<std::size_t>(bytes),
        [](napi_env, void *, void *hint) { delete static_cast<Region *>(hint); }, region.get(), &buffer);
    if (status != napi_ok) {
      throwFailure(env, {"napi_create_external_arraybuffer", "status " + std::to_string(status)});
      return env.Undefined();
    }
    region.release();
    return Napi::Value(env, buffer);
  } catch (const std::exception &error) {
    throwFailure(env, {"allocate", error.what()});
    return env.Undefined();
  }
}

Napi::Value floatMode(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), static_cast<double>(SavedFloatMode::read()));
}

Napi::Value endThreads(const Napi::CallbackInfo &info) {
  GpuThread::endAll();
  return info.Env().Undefined();
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  try {
    env.SetInstanceData(new AddonState(env));
  } catch (const std::exception &error) {
    throwFailure(env, {"initialise", error.what()});
    return exports;
  }
  exports.Set("allocate", Napi::Function::New<allocate>(env, "allocate"));
  exports.Set("floatMode", Napi::Function::New<floatMode>(env, "floatMode"));
  exports.Set("endThreads", Napi::Function::New<endThreads>(env, "endThreads"));
  exports.Set("NativeProgram", NativeProgram::define(env));
  exports.Set("CudaDevice", cuda::DeviceBinding::define(env));
  exports.Set("WgpuDevice", WgpuBinding::define(env));
  return exports;
}

}  // namespace

}  // namespace kiln

Napi::Object initialiseKiln(Napi::Env env, Napi::Object exports) { return kiln::initialise(env, exports); }

NODE_API_MODULE(kiln, initialiseKiln)
