#include "native-program.h"

#include <exception>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "arguments.h"

namespace kiln {

namespace {

constexpr std::size_t mostThreads = 1024;

Failure badCall(const std::string &text) { return {"run", text}; }

// Bytes a buffer must have for `steps` steps; nothing if no memory is that large.
std::optional<std::size_t> needed(std::size_t steps, std::size_t stride, std::size_t bytes) {
  std::size_t all = 0;
  if (__builtin_mul_overflow(stride, steps - 1, &all) || __builtin_add_overflow(all, bytes, &all)) return std::nullopt;
  return all;
}

}  // namespace

Napi::Function NativeProgram::define(Napi::Env env) {
  return DefineClass(env, "NativeProgram",
                     {
                         InstanceAccessor<&NativeProgram::entries>("entries"),
                         InstanceMethod<&NativeProgram::run>("run"),
                         InstanceMethod<&NativeProgram::runSync>("runSync"),
                         InstanceMethod<&NativeProgram::stop>("stop"),
                         InstanceMethod<&NativeProgram::close>("close"),
                     });
}

NativeProgram::NativeProgram(const Napi::CallbackInfo &info)
    : Napi::ObjectWrap<NativeProgram>(info), state_(info.Env().GetInstanceData<AddonState>()) {
  const auto image = bytesOf(info.Env(), info[0]);
  if (!image) {
    throwFailure(info.Env(), {"open", "a program is opened from a typed array"});
    return;
  }
  try {
    auto opened = state_->device().open(*image);
    if (opened.ok())
      executable_ = std::move(opened.value());
    else
      throwFailure(info.Env(), opened.failure());
  } catch (const std::exception &error) {
    throwFailure(info.Env(), {"open", error.what()});
  }
}

Napi::Value NativeProgram::entries(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  if (!executable_) return list;
  std::uint32_t index = 0;
  for (const EntryShape &shape : executable_->entries()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", Napi::String::New(env, shape.name));
    entry.Set("buffers", Napi::Number::New(env, static_cast<double>(shape.buffers)));
    entry.Set("phases", Napi::Number::New(env, static_cast<double>(shape.phases)));
    list.Set(index++, entry);
  }
  return list;
}

bool NativeProgram::readCall(const Napi::CallbackInfo &info, Job &job, Napi::Array &held) {
  const Napi::Env env = info.Env();
  const auto refuse = [env](const std::string &text) {
    throwFailure(env, badCall(text));
    return false;
  };
  if (!executable_) return refuse("the program is closed");
  if (info.Length() < 6 || !info[3].IsArray() || !info[4].IsArray() || !info[5].IsArray())
    return refuse("run(entry, steps, threads, buffers, strides, bytes) lacks an argument");
  const auto entry = countOf(info[0]), steps = countOf(info[1]), threads = countOf(info[2]);
  if (!entry || *entry >= executable_->entries().size()) return refuse("there is no such entry");
  if (!steps || *steps == 0) return refuse("the number of steps must be a positive integer");
  if (!threads || *threads == 0 || *threads > mostThreads) return refuse("the number of threads must be 1 to 1024");
  const auto buffers = info[3].As<Napi::Array>(), strides = info[4].As<Napi::Array>(), bytes = info[5].As<Napi::Array>();
  const std::uint32_t count = buffers.Length();
  const std::size_t wanted = executable_->entries()[*entry].buffers;
  if (count != wanted || strides.Length() != count || bytes.Length() != count)
    return refuse("the entry takes " + std::to_string(wanted) + " buffers, got " + std::to_string(count));
  job.entry = *entry;
  job.steps = static_cast<long>(*steps);
  job.threads = static_cast<long>(*threads);
  job.buffers.reserve(count);
  job.strides.reserve(count);
  held = Napi::Array::New(env, count);
  for (std::uint32_t i = 0; i < count; i++) {
    const Napi::Value buffer = buffers.Get(i);
    const auto view = bytesOf(env, buffer);
    const auto stride = countOf(strides.Get(i)), size = countOf(bytes.Get(i));
    if (!view) return refuse("buffer " + std::to_string(i) + " is no typed array");
    if (!stride || !size) return refuse("buffer " + std::to_string(i) + " has a bad stride or size");
    const auto least = needed(*steps, *stride, *size);
    if (!least || view->size() < *least)
      return refuse("buffer " + std::to_string(i) + " has " + std::to_string(view->size()) + " bytes and needs " +
                    (least ? std::to_string(*least) : "more than there can be") +
                    (view->empty() ? "; was its ArrayBuffer transferred?" : ""));
    job.buffers.push_back(view->data());
    job.strides.push_back(*stride);
    held.Set(i, buffer);
  }
  return true;
}

Napi::Value NativeProgram::run(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  try {
    auto task = std::make_shared<Task>();
    Napi::Array held;
    if (!readCall(info, task->job, held)) return env.Undefined();
    auto pending = std::make_shared<PendingRun>(env, held);
    const Napi::Promise promise = pending->deferred.Promise();
    task->executable = executable_;
    // The run is handed on, not shared: it must be destroyed on the JavaScript thread.
    task->done = [state = state_, pending](Result<long> result) mutable {
      pending->result = std::move(result);
      state->report(std::move(pending));
    };
    pending.reset();
    if (auto queued = state_->runner().submit(std::move(task)); !queued.ok()) {
      throwFailure(env, queued.failure());
      return env.Undefined();
    }
    state_->expect(env);
    return promise;
  } catch (const std::exception &error) {
    throwFailure(env, badCall(error.what()));
    return env.Undefined();
  }
}

Napi::Value NativeProgram::runSync(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  try {
    Job job;
    Napi::Array held;
    if (!readCall(info, job, held)) return env.Undefined();
    auto done = state_->runner().runHere(*executable_, job);
    if (done.ok()) return Napi::Number::New(env, static_cast<double>(done.value()));
    throwFailure(env, done.failure());
  } catch (const std::exception &error) {
    throwFailure(env, badCall(error.what()));
  }
  return env.Undefined();
}

void NativeProgram::stop(const Napi::CallbackInfo &) {
  if (executable_) state_->runner().stop(*executable_);
}

void NativeProgram::close(const Napi::CallbackInfo &) { executable_.reset(); }

}  // namespace kiln
