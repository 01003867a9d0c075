// Between JavaScript and a GPU thread: work that a promise waits for, work that the calling thread waits for, and work that
// nobody waits for, all run in the order of the calls. The thread ends before the environment's way back to JavaScript does.
#ifndef KILN_GPU_QUEUE_H
#define KILN_GPU_QUEUE_H

#include <napi.h>

#include <exception>
#include <functional>
#include <utility>

#include "addon-state.h"
#include "gpu-thread.h"

namespace kiln {

class GpuQueue {
 public:
  using Work = std::function<Result<long>()>;
  using Value = std::function<Result<Napi::Value>(Napi::Env, Napi::Object)>;

  // `end` gives back what JavaScript's side owns; it is called once the thread has ended, also if the environment ends.
  GpuQueue(Napi::Env env, std::function<void()> end);
  ~GpuQueue();
  GpuQueue(const GpuQueue &) = delete;
  GpuQueue &operator=(const GpuQueue &) = delete;

  // A promise of what `work` returns, or of what `value` makes of it on JavaScript's thread, given the array
  // [self, held]; both live until then.
  Napi::Value promise(Napi::Object self, Work work, Value value = nullptr, napi_value held = nullptr);

  // A promise of the end of `work`, with which the thread ends too, whatever it returns.
  Napi::Value close(Napi::Object self, Work work);

  // Runs `work` after all that was queued, and waits.
  Result<long> here(const Work &work);

  // Queues work that nobody waits for.
  void post(Napi::Env env, std::function<void()> work);

  // Whether long work should come to an end.
  bool quitting() const { return thread_.quitting(); }

 private:
  static void shutDown(void *self);

  AddonState *state_;
  napi_env env_;
  std::function<void()> end_;
  bool hooked_;
  GpuThread thread_;
};

// Calls a method that JavaScript called; no exception comes out of it.
template <auto Method, class Self>
Napi::Value guardedCall(Self &self, const Napi::CallbackInfo &info) {
  try {
    return (self.*Method)(info);
  } catch (const std::exception &error) {
    throwFailure(info.Env(), {"call", error.what()});
    return info.Env().Undefined();
  }
}

}  // namespace kiln

#endif
