// What one JavaScript environment (the main thread or a worker) owns natively: its device, the thread that runs jobs, and
// the way back to JavaScript. Made when the addon is loaded there, torn down before that environment ends.
#ifndef KILN_ADDON_STATE_H
#define KILN_ADDON_STATE_H

#include <napi.h>

#include <functional>
#include <memory>

#include "cpu-device.h"
#include "runner.h"

namespace kiln {

// A run that JavaScript has a promise of. Made and destroyed on the JavaScript thread.
struct PendingRun {
  PendingRun(Napi::Env env, Napi::Object held)
      : deferred(Napi::Promise::Deferred::New(env)), held(Napi::Persistent(held)) {}

  Napi::Promise::Deferred deferred;
  // Keeps the buffers alive while native code has their addresses.
  Napi::ObjectReference held;
  Result<long> result{0L};
  // Makes what the promise resolves to, from what is held, where that is not the result itself.
  std::function<Result<Napi::Value>(Napi::Env, Napi::Object)> value;
  // Set while the run is on its way to JavaScript as a plain pointer.
  std::shared_ptr<PendingRun> self;
};

class AddonState {
 public:
  explicit AddonState(Napi::Env env);
  ~AddonState();
  AddonState(const AddonState &) = delete;
  AddonState &operator=(const AddonState &) = delete;

  Device &device() { return device_; }
  Runner &runner() { return runner_; }

  // Counts a run whose end is still to be reported; while there is one, the process does not exit by itself.
  void expect(Napi::Env env);
  // Hands a run that is over to the JavaScript thread; called on the runner's.
  void report(std::shared_ptr<PendingRun> run);

 private:
  static void endRun(napi_env env, napi_value callback, void *context, void *data);
  static void shutDown(void *state);

  // Outlives the runner, whose job may be using its threads.
  CpuDevice device_;
  Runner runner_;
  napi_env env_;
  napi_threadsafe_function reports_ = nullptr;
  long expected_ = 0;
};

// Throws a JavaScript error with the failure's text and the property `call`.
void throwFailure(Napi::Env env, const Failure &failure);
// The same error as a value, to reject a promise with.
Napi::Value toError(Napi::Env env, const Failure &failure);

}  // namespace kiln

#endif
