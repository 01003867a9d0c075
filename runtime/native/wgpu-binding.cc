#include "wgpu-binding.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "arguments.h"

namespace kiln {

namespace {

constexpr WGPUBufferUsage storage =
    WGPUBufferUsage_Storage | WGPUBufferUsage_Uniform | WGPUBufferUsage_CopySrc | WGPUBufferUsage_CopyDst;

Failure malformed(const std::string &text) { return {"call", text}; }

std::string kindOf(WGPUAdapterType type) {
  switch (type) {
    case WGPUAdapterType_DiscreteGPU:
      return "discrete";
    case WGPUAdapterType_IntegratedGPU:
      return "integrated";
    case WGPUAdapterType_CPU:
      return "software";
    default:
      return "unknown";
  }
}

Napi::Object toObject(Napi::Env env, const AdapterDescription &description) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", Napi::String::New(env, description.name));
  object.Set("driver", Napi::String::New(env, description.driver));
  object.Set("kind", Napi::String::New(env, kindOf(description.type)));
  object.Set("f16", Napi::Boolean::New(env, description.halves));
  if (description.subgroups) object.Set("subgroup", Napi::Number::New(env, description.leastSubgroup));
  return object;
}

Napi::Object toObject(Napi::Env env, const WGPULimits &limits) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char *name, std::uint64_t value) {
    object.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("alignment", std::max(limits.minStorageBufferOffsetAlignment, limits.minUniformBufferOffsetAlignment));
  set("memoryBytes", limits.maxBufferSize);
  set("bindingBytes", limits.maxStorageBufferBindingSize);
  set("bindings", std::min(limits.maxStorageBuffersPerShaderStage, limits.maxBindingsPerBindGroup));
  set("threads", std::min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX));
  set("sharedBytes", limits.maxComputeWorkgroupStorageSize);
  return object;
}

Napi::Value refuse(Napi::Env env, const Failure &failure) {
  throwFailure(env, failure);
  return env.Undefined();
}

template <class T>
std::shared_ptr<T> find(const std::unordered_map<std::uint64_t, std::shared_ptr<T>> &table, Napi::Value id) {
  const auto number = countOf(id);
  const auto found = number ? table.find(*number) : table.end();
  return found == table.end() ? nullptr : found->second;
}

std::optional<std::vector<KernelText>> readKernels(Napi::Value value) {
  if (!value.IsArray()) return std::nullopt;
  const auto list = value.As<Napi::Array>();
  std::vector<KernelText> kernels(list.Length());
  for (std::uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value item = list.Get(i);
    if (!item.IsObject()) return std::nullopt;
    const auto object = item.As<Napi::Object>();
    const Napi::Value name = object.Get("name"), text = object.Get("text"), uses = object.Get("uses");
    if (!name.IsString() || !text.IsString() || !uses.IsArray()) return std::nullopt;
    kernels[i].name = name.As<Napi::String>();
    kernels[i].text = text.As<Napi::String>();
    const auto numbers = uses.As<Napi::Array>();
    for (std::uint32_t j = 0; j < numbers.Length(); j++) {
      const auto use = countOf(numbers.Get(j));
      if (!use || *use > static_cast<std::size_t>(BindingUse::uniform)) return std::nullopt;
      kernels[i].bindings.push_back(static_cast<BindingUse>(*use));
    }
  }
  return kernels;
}

}  // namespace

Napi::Function WgpuBinding::define(Napi::Env env) {
  return DefineClass(env, "WgpuDevice",
                     {
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::open>>("open"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::adapters>>("adapters"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::allocate>>("allocate"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::free>>("free"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::write>>("write"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::read>>("read"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::readSync>>("readSync"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::load>>("load"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::sequence>>("sequence"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::run>>("run"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::runSync>>("runSync"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::stop>>("stop"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::lose>>("lose"),
                         InstanceMethod<&WgpuBinding::guarded<&WgpuBinding::close>>("close"),
                     });
}

WgpuBinding::WgpuBinding(const Napi::CallbackInfo &info)
    : Napi::ObjectWrap<WgpuBinding>(info), queue_(info.Env(), [this] {
        sequences_.clear();
        modules_.clear();
        buffers_.clear();
        device_.reset();
        engine_.reset();
      }) {}

Result<long> WgpuBinding::Engine::outcome(Result<long> result) {
  std::optional<Failure> earlier = std::exchange(failed, std::nullopt);
  if (result.ok() && !earlier) return result;
  // Whatever else fails on a lost device fails because of that.
  if (auto why = device ? device->lost() : std::nullopt) return *why;
  return earlier ? *earlier : result;
}

Napi::Value WgpuBinding::promise(const Napi::CallbackInfo &info, GpuQueue::Work work, GpuQueue::Value value,
                                 napi_value held) {
  return queue_.promise(
      info.This().As<Napi::Object>(),
      [engine = engine_, work = std::move(work)] { return engine->outcome(work()); }, std::move(value), held);
}

Result<long> WgpuBinding::here(const GpuQueue::Work &work) {
  return queue_.here([&] { return engine_->outcome(work()); });
}

void WgpuBinding::post(Napi::Env env, std::function<Result<bool>()> work) {
  queue_.post(env, [engine = engine_, work = std::move(work)] {
    try {
      auto result = work();
      if (!result.ok() && !engine->failed) engine->failed = result.failure();
    } catch (const std::exception &error) {
      engine->failed = Failure{"call", error.what()};
    }
  });
}

Napi::Value WgpuBinding::open(const Napi::CallbackInfo &info) {
  if (!info[0].IsString() || !info[1].IsString())
    return refuse(info.Env(), malformed("open(library, adapter) takes two texts"));
  const std::string path = info[0].As<Napi::String>(), wanted = info[1].As<Napi::String>();
  const auto work = [engine = engine_, path, wanted]() -> Result<long> {
    auto api = WgpuApi::open(path);
    if (!api.ok()) return api.failure();
    auto opened = WgpuDevice::open(*api.value(), wanted);
    if (!opened.ok()) return opened.failure();
    engine->device = std::move(opened.value());
    return 0L;
  };
  return promise(info, work, [this](Napi::Env env, Napi::Object) -> Result<Napi::Value> {
    device_ = engine_->device;
    Napi::Object object = Napi::Object::New(env);
    object.Set("adapter", toObject(env, device_->description()));
    object.Set("limits", toObject(env, device_->limits()));
    return Napi::Value(object);
  });
}

Napi::Value WgpuBinding::adapters(const Napi::CallbackInfo &info) {
  const std::string path = info[0].ToString();
  auto list = std::make_shared<std::vector<AdapterDescription>>();
  const auto work = [path, list]() -> Result<long> {
    auto api = WgpuApi::open(path);
    if (!api.ok()) return api.failure();
    auto found = listAdapters(*api.value());
    if (!found.ok()) return found.failure();
    *list = std::move(found.value());
    return 0L;
  };
  return promise(info, work, [list](Napi::Env env, Napi::Object) -> Result<Napi::Value> {
    Napi::Array array = Napi::Array::New(env);
    for (std::uint32_t i = 0; i < list->size(); i++) array.Set(i, toObject(env, (*list)[i]));
    return Napi::Value(array);
  });
}

Napi::Value WgpuBinding::allocate(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const auto bytes = countOf(info[0]);
  if (!device_ || !bytes) return refuse(env, malformed("allocate(bytes) takes a number, on an open device"));
  auto made = device_->allocate(*bytes, storage);
  if (!made.ok()) return refuse(env, made.failure());
  buffers_.emplace(nextId_, std::move(made.value()));
  return Napi::Number::New(env, static_cast<double>(nextId_++));
}

Napi::Value WgpuBinding::free(const Napi::CallbackInfo &info) {
  const auto id = countOf(info[0]);
  if (!id) return info.Env().Undefined();
  // The last owner goes on the GPU thread, after what still uses it.
  const auto release = [&](auto &table, std::uint64_t number) {
    if (auto node = table.extract(number); !node.empty())
      queue_.post(info.Env(), [held = std::move(node.mapped())]() mutable { held.reset(); });
  };
  release(buffers_, *id);
  release(modules_, *id);
  release(sequences_, *id);
  return info.Env().Undefined();
}

Napi::Value WgpuBinding::write(const Napi::CallbackInfo &info) {
  const auto buffer = find(buffers_, info[0]);
  const auto offset = countOf(info[1]);
  const auto data = bytesOf(info.Env(), info[2]);
  if (!buffer || !offset || !data) return refuse(info.Env(), malformed("write(memory, offset, data) is malformed"));
  if (auto why = device_->lost()) return refuse(info.Env(), *why);
  auto copy = std::make_shared<std::vector<std::byte>>(data->begin(), data->end());
  post(info.Env(), [engine = engine_, buffer, offset = *offset, copy] {
    return engine->device->write(*buffer, offset, *copy);
  });
  return info.Env().Undefined();
}

Napi::Value WgpuBinding::read(const Napi::CallbackInfo &info) {
  const auto buffer = find(buffers_, info[0]);
  const auto offset = countOf(info[1]);
  const auto into = bytesOf(info.Env(), info[2]);
  if (!buffer || !offset || !into || into->size() > WgpuDevice::pieceBytes)
    return refuse(info.Env(), malformed("read(memory, offset, into) is malformed"));
  auto bytes = std::make_shared<std::vector<std::byte>>();
  const auto work = [engine = engine_, buffer, offset = *offset, bytes, size = into->size()]() -> Result<long> {
    bytes->resize(size);
    auto done = engine->device->read(*buffer, offset, *bytes);
    return done.ok() ? Result<long>(0L) : done.failure();
  };
  // Copied on the JavaScript thread, which may have given the memory away meanwhile.
  const auto value = [bytes](Napi::Env env, Napi::Object held) -> Result<Napi::Value> {
    const auto target = bytesOf(env, held.Get(1u));
    if (!target || target->size() != bytes->size()) return malformed("the array to read into was transferred");
    std::copy(bytes->begin(), bytes->end(), target->begin());
    return env.Undefined();
  };
  return promise(info, work, value, info[2]);
}

Napi::Value WgpuBinding::readSync(const Napi::CallbackInfo &info) {
  const auto buffer = find(buffers_, info[0]);
  const auto offset = countOf(info[1]);
  const auto into = bytesOf(info.Env(), info[2]);
  if (!buffer || !offset || !into || into->size() > WgpuDevice::pieceBytes)
    return refuse(info.Env(), malformed("readSync(memory, offset, into) is malformed"));
  auto done = here([&]() -> Result<long> {
    auto read = engine_->device->read(*buffer, *offset, *into);
    return read.ok() ? Result<long>(0L) : read.failure();
  });
  return done.ok() ? info.Env().Undefined() : refuse(info.Env(), done.failure());
}

Napi::Value WgpuBinding::load(const Napi::CallbackInfo &info) {
  auto kernels = readKernels(info[0]);
  if (!device_ || !kernels)
    return refuse(info.Env(), malformed("load(kernels) takes a list of { name, text, uses }, on an open device"));
  auto module = std::make_shared<Module>();
  const auto work = [engine = engine_, module, list = std::move(*kernels)]() -> Result<long> {
    for (std::size_t i = 0; i < list.size(); i++) {
      auto pipeline = engine->pipelines.get(*engine->device, list[i], i);
      if (!pipeline.ok()) return pipeline.failure();
      module->push_back(std::move(pipeline.value()));
    }
    return 0L;
  };
  return promise(info, work, [this, module](Napi::Env env, Napi::Object) -> Result<Napi::Value> {
    modules_.emplace(nextId_, module);
    return Napi::Value(Napi::Number::New(env, static_cast<double>(nextId_++)));
  });
}

Napi::Value WgpuBinding::sequence(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  if (!device_ || !info[0].IsArray())
    return refuse(env, malformed("sequence(launches) takes a list, on an open device"));
  if (auto why = device_->lost()) return refuse(env, *why);
  const auto list = info[0].As<Napi::Array>();
  std::vector<Launch> launches;
  for (std::uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value item = list.Get(i);
    if (!item.IsObject()) return refuse(env, malformed("a launch is an object"));
    const auto object = item.As<Napi::Object>();
    const auto module = find(modules_, object.Get("module"));
    const auto kernel = countOf(object.Get("kernel")), groups = countOf(object.Get("groups"));
    const Napi::Value ranges = object.Get("ranges");
    if (!module || !kernel || *kernel >= module->size() || !groups || *groups == 0 || !ranges.IsArray())
      return refuse(env, malformed("a launch is { module, kernel, groups, ranges }"));
    Launch launch{(*module)[*kernel], *groups, {}};
    const auto numbers = ranges.As<Napi::Array>();
    for (std::uint32_t j = 0; j + 4 <= numbers.Length(); j += 4) {
      const auto buffer = find(buffers_, numbers.Get(j));
      const auto offset = countOf(numbers.Get(j + 1)), bytes = countOf(numbers.Get(j + 2)),
                 stride = countOf(numbers.Get(j + 3));
      if (!buffer || !offset || !bytes || !stride)
        return refuse(env, malformed("a range is memory, offset, bytes and stride"));
      launch.ranges.push_back({buffer, *offset, *bytes, *stride});
    }
    launches.push_back(std::move(launch));
  }
  sequences_.emplace(nextId_, std::make_shared<WgpuSequence>(std::move(launches)));
  return Napi::Number::New(env, static_cast<double>(nextId_++));
}

Napi::Value WgpuBinding::run(const Napi::CallbackInfo &info) {
  const auto sequence = find(sequences_, info[0]);
  const auto steps = countOf(info[1]);
  if (!sequence || !steps) return refuse(info.Env(), malformed("run(sequence, steps) is malformed"));
  return promise(info, [engine = engine_, sequence, steps = static_cast<long>(*steps), since = sequence->stops(),
                        &queue = queue_] {
    return sequence->run(*engine->device, steps, since, [&queue] { return queue.quitting(); });
  });
}

Napi::Value WgpuBinding::runSync(const Napi::CallbackInfo &info) {
  const auto sequence = find(sequences_, info[0]);
  const auto steps = countOf(info[1]);
  if (!sequence || !steps) return refuse(info.Env(), malformed("runSync(sequence, steps) is malformed"));
  auto done = here([&] {
    return sequence->run(*engine_->device, static_cast<long>(*steps), sequence->stops(), [] { return false; });
  });
  if (!done.ok()) return refuse(info.Env(), done.failure());
  return Napi::Number::New(info.Env(), static_cast<double>(done.value()));
}

Napi::Value WgpuBinding::stop(const Napi::CallbackInfo &info) {
  if (const auto sequence = find(sequences_, info[0])) sequence->stop();
  return info.Env().Undefined();
}

Napi::Value WgpuBinding::lose(const Napi::CallbackInfo &info) {
  if (!device_) return refuse(info.Env(), malformed("no device is open"));
  post(info.Env(), [engine = engine_]() -> Result<bool> {
    engine->device->lose();
    return true;
  });
  return info.Env().Undefined();
}

Napi::Value WgpuBinding::close(const Napi::CallbackInfo &info) {
  // All that JavaScript's side owns goes with the job, to end where it was made.
  struct Owned {
    Table<WgpuSequence> sequences;
    Table<Module> modules;
    Table<WgpuBuffer> buffers;
    std::shared_ptr<WgpuDevice> device;
  };
  auto owned = std::make_shared<Owned>();
  owned->sequences.swap(sequences_);
  owned->modules.swap(modules_);
  owned->buffers.swap(buffers_);
  owned->device.swap(device_);
  const auto work = [engine = engine_, owned]() -> Result<long> {
    *owned = Owned{};
    engine->pipelines = PipelineCache();
    engine->device.reset();
    engine->failed.reset();
    return 0L;
  };
  return queue_.close(info.This().As<Napi::Object>(), work);
}

}  // namespace kiln
