#include "gpu-queue.h"

#include <memory>
#include <new>

namespace kiln {

namespace {

Result<long> withoutExceptions(const GpuQueue::Work &work) {
  try {
    return work();
  } catch (const std::bad_alloc &) {
    return Failure{"memory", "this process has no memory left"};
  } catch (const std::exception &error) {
    return Failure{"call", error.what()};
  }
}

}  // namespace

GpuQueue::GpuQueue(Napi::Env env, std::function<void()> end)
    : state_(env.GetInstanceData<AddonState>()), env_(env), end_(std::move(end)) {
  hooked_ = napi_add_env_cleanup_hook(env_, &GpuQueue::shutDown, this) == napi_ok;
}

GpuQueue::~GpuQueue() {
  if (hooked_) napi_remove_env_cleanup_hook(env_, &GpuQueue::shutDown, this);
  shutDown(this);
}

void GpuQueue::shutDown(void *pointer) {
  auto &self = *static_cast<GpuQueue *>(pointer);
  self.hooked_ = false;
  self.thread_.shutDown();
  if (self.end_) std::exchange(self.end_, nullptr)();
}

Napi::Value GpuQueue::promise(Napi::Object self, Work work, Value value, napi_value held) {
  const Napi::Env env = self.Env();
  Napi::Array all = Napi::Array::New(env);
  all.Set(0u, self);
  if (held != nullptr) all.Set(1u, held);
  auto pending = std::make_shared<PendingRun>(env, all);
  pending->value = std::move(value);
  const Napi::Promise promise = pending->deferred.Promise();
  auto queued = thread_.post([state = state_, work = std::move(work), pending]() mutable {
    pending->result = withoutExceptions(work);
    // What the work holds of the device goes here, not on JavaScript's thread.
    work = nullptr;
    // Handed on, not shared: it must be destroyed on JavaScript's thread.
    state->report(std::move(pending));
  });
  if (!queued.ok()) {
    throwFailure(env, queued.failure());
    return env.Undefined();
  }
  state_->expect(env);
  return promise;
}

Napi::Value GpuQueue::close(Napi::Object self, Work work) {
  auto outcome = std::make_shared<Result<long>>(0L);
  auto last = [work = std::move(work), outcome]() -> Result<long> {
    *outcome = withoutExceptions(work);
    return 0L;
  };
  return promise(self, std::move(last), [this, outcome](Napi::Env env, Napi::Object) -> Result<Napi::Value> {
    thread_.end();
    if (!outcome->ok()) return outcome->failure();
    return env.Undefined();
  });
}

Result<long> GpuQueue::here(const Work &work) {
  Result<long> result{0L};
  auto waited = thread_.postAndWait([&] { result = withoutExceptions(work); });
  return waited.ok() ? result : waited.failure();
}

void GpuQueue::post(Napi::Env env, std::function<void()> work) {
  auto queued = thread_.post(std::move(work));
  if (!queued.ok()) throwFailure(env, queued.failure());
}

}  // namespace kiln
