#include "addon-state.h"

#include <utility>

namespace kiln {

Napi::Value toError(Napi::Env env, const Failure &failure) {
  Napi::Error error = Napi::Error::New(env, failure.text);
  error.Set("call", Napi::String::New(env, failure.call));
  return error.Value();
}

void throwFailure(Napi::Env env, const Failure &failure) {
  Napi::Error error = Napi::Error::New(env, failure.text);
  error.Set("call", Napi::String::New(env, failure.call));
  error.ThrowAsJavaScriptException();
}

AddonState::AddonState(Napi::Env env) : env_(env) {
  Napi::String name = Napi::String::New(env, "kiln");
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this,
                                                             &AddonState::endRun, &reports_);
  if (status != napi_ok) {
    throwFailure(env, {"napi_create_threadsafe_function", "status " + std::to_string(status)});
    return;
  }
  napi_unref_threadsafe_function(env, reports_);
  // Hooks run in reverse order: this one ends the runner before the way back to JavaScript is taken away.
  napi_add_env_cleanup_hook(env, &AddonState::shutDown, this);
}

AddonState::~AddonState() { runner_.shutDown(); }

void AddonState::shutDown(void *state) { static_cast<AddonState *>(state)->runner_.shutDown(); }

void AddonState::expect(Napi::Env env) {
  if (expected_++ == 0) napi_ref_threadsafe_function(env, reports_);
}

void AddonState::report(std::shared_ptr<PendingRun> run) {
  PendingRun *pointer = run.get();
  pointer->self = std::move(run);
  // Cannot fail: the queue has no limit, and the runner ends before the function is closed.
  napi_call_threadsafe_function(reports_, pointer, napi_tsfn_nonblocking);
}

void AddonState::endRun(napi_env rawEnv, napi_value, void *context, void *data) {
  const std::shared_ptr<PendingRun> run = std::move(static_cast<PendingRun *>(data)->self);
  // Without an environment there is nobody to tell, and what JavaScript held is gone.
  if (rawEnv == nullptr) {
    run->held.SuppressDestruct();
    return;
  }
  Napi::Env env(rawEnv);
  Napi::HandleScope scope(env);
  auto &state = *static_cast<AddonState *>(context);
  if (--state.expected_ == 0) napi_unref_threadsafe_function(env, state.reports_);
  if (!run->result.ok()) return run->deferred.Reject(toError(env, run->result.failure()));
  if (!run->value) return run->deferred.Resolve(Napi::Number::New(env, static_cast<double>(run->result.value())));
  auto value = run->value(env, run->held.Value());
  if (value.ok())
    run->deferred.Resolve(value.value());
  else
    run->deferred.Reject(toError(env, value.failure()));
}

}  // namespace kiln
