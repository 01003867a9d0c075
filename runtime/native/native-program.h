// The JavaScript class around an opened program: `entries`, `run`, `runSync`, `stop`, `close`. It checks every buffer
// against the bytes a call needs before anything runs.
#ifndef KILN_NATIVE_PROGRAM_H
#define KILN_NATIVE_PROGRAM_H

#include <napi.h>

#include <memory>

#include "addon-state.h"
#include "device.h"

namespace kiln {

class NativeProgram : public Napi::ObjectWrap<NativeProgram> {
 public:
  static Napi::Function define(Napi::Env env);

  // `new Program(image)`: opens a program from the bytes of its library.
  explicit NativeProgram(const Napi::CallbackInfo &info);

 private:
  Napi::Value entries(const Napi::CallbackInfo &info);
  Napi::Value run(const Napi::CallbackInfo &info);
  Napi::Value runSync(const Napi::CallbackInfo &info);
  void stop(const Napi::CallbackInfo &info);
  void close(const Napi::CallbackInfo &info);

  // Fills `job` from the description of a call and `held` with the buffers it refers to; false if it threw.
  bool readCall(const Napi::CallbackInfo &info, Job &job, Napi::Array &held);

  AddonState *state_;
  // Null once closed.
  std::shared_ptr<Executable> executable_;
};

}  // namespace kiln

#endif
