#include "cuda-binding.h"

#include <algorithm>
#include <utility>

#include "arguments.h"

namespace kiln::cuda {

namespace {

Napi::Value refuse(Napi::Env env, const Failure &failure) {
  throwFailure(env, failure);
  return env.Undefined();
}

Napi::Value refuseCall(Napi::Env env, const char *shape) {
  return refuse(env, {"call", std::string(shape) + " was called with something else, or the device is closed"});
}

Result<long> toResult(const std::optional<Failure> &failure) {
  return failure ? Result<long>(*failure) : Result<long>(0L);
}

template <class T>
std::shared_ptr<T> find(const std::unordered_map<std::uint64_t, std::shared_ptr<T>> &table, Napi::Value id) {
  const auto number = countOf(id);
  const auto found = number ? table.find(*number) : table.end();
  return found == table.end() ? nullptr : found->second;
}

Napi::Object toObject(Napi::Env env, const Driver &driver, const Traits &traits) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char *name, double value) { object.Set(name, Napi::Number::New(env, value)); };
  object.Set("name", Napi::String::New(env, traits.name));
  set("driver", driver.version);
  set("memoryBytes", static_cast<double>(traits.memoryBytes));
  set("major", traits.major);
  set("minor", traits.minor);
  set("multiprocessors", traits.multiprocessors);
  set("threads", traits.threads);
  set("sharedBytes", traits.sharedBytes);
  set("groups", traits.groups);
  set("clock", traits.clock);
  set("memoryClock", traits.memoryClock);
  set("memoryBus", traits.memoryBus);
  return object;
}

std::optional<std::vector<KernelShape>> readKernels(Napi::Value value) {
  if (!value.IsArray()) return std::nullopt;
  const auto list = value.As<Napi::Array>();
  std::vector<KernelShape> kernels;
  for (std::uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value item = list.Get(i);
    if (!item.IsObject()) return std::nullopt;
    const auto object = item.As<Napi::Object>();
    const Napi::Value name = object.Get("name");
    const auto threads = countOf(object.Get("threads")), shared = countOf(object.Get("sharedBytes"));
    if (!name.IsString() || !threads || !shared) return std::nullopt;
    kernels.push_back({name.As<Napi::String>(), static_cast<unsigned>(*threads), static_cast<unsigned>(*shared)});
  }
  return kernels;
}

}  // namespace

Napi::Function DeviceBinding::define(Napi::Env env) {
  return DefineClass(env, "CudaDevice",
                     {
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::open>>("open"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::allocate>>("allocate"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::free>>("free"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::write>>("write"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::read>>("read"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::readSync>>("readSync"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::load>>("load"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::compile>>("compile"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::sequence>>("sequence"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::run>>("run"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::runSync>>("runSync"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::stop>>("stop"),
                         InstanceMethod<&DeviceBinding::guarded<&DeviceBinding::close>>("close"),
                     });
}

DeviceBinding::DeviceBinding(const Napi::CallbackInfo &info)
    : Napi::ObjectWrap<DeviceBinding>(info), queue_(info.Env(), [this] {
        // In the order of dependence, as a member of its own would be destroyed.
        Owned owned = std::exchange(owned_, Owned{});
      }) {}

Napi::Value DeviceBinding::open(const Napi::CallbackInfo &info) {
  const auto ordinal = countOf(info[1]);
  if (!info[0].IsString() || !ordinal || owned_.device) return refuseCall(info.Env(), "open(driver, number)");
  struct Opened {
    std::shared_ptr<Device> device;
    std::shared_ptr<Staging> staging;
  };
  auto opened = std::make_shared<Opened>();
  const auto work = [path = std::string(info[0].As<Napi::String>()), number = static_cast<int>(*ordinal),
                     opened]() -> Result<long> {
    auto driver = Driver::open(path);
    if (!driver.ok()) return driver.failure();
    auto device = Device::open(*driver.value(), number);
    if (!device.ok()) return device.failure();
    auto staging = Staging::make(device.value());
    if (!staging.ok()) return staging.failure();
    *opened = {std::move(device.value()), std::move(staging.value())};
    return 0L;
  };
  return queue_.promise(info.This().As<Napi::Object>(), work,
                        [this, opened](Napi::Env env, Napi::Object) -> Result<Napi::Value> {
                          owned_.device = std::move(opened->device);
                          owned_.staging = std::move(opened->staging);
                          return Napi::Value(toObject(env, owned_.device->driver(), owned_.device->traits()));
                        });
}

Napi::Value DeviceBinding::allocate(const Napi::CallbackInfo &info) {
  const auto bytes = countOf(info[0]);
  if (!owned_.device || !bytes) return refuseCall(info.Env(), "allocate(bytes)");
  auto memory = owned_.device->allocate(*bytes);
  if (!memory.ok()) return refuse(info.Env(), memory.failure());
  owned_.memories.emplace(nextId_, std::move(memory.value()));
  return Napi::Number::New(info.Env(), static_cast<double>(nextId_++));
}

Napi::Value DeviceBinding::free(const Napi::CallbackInfo &info) {
  const auto id = countOf(info[0]);
  if (!id) return refuseCall(info.Env(), "free(id)");
  // The last reference goes on the GPU thread, after all that was asked for before.
  struct Freed {
    std::shared_ptr<Memory> memory;
    std::shared_ptr<Module> module;
    std::shared_ptr<Sequence> sequence;
  };
  auto freed = std::make_shared<Freed>();
  const auto take = [&](auto &table, auto &into) {
    if (const auto found = table.find(*id); found != table.end()) {
      into = std::move(found->second);
      table.erase(found);
    }
  };
  take(owned_.memories, freed->memory);
  take(owned_.modules, freed->module);
  take(owned_.sequences, freed->sequence);
  queue_.post(info.Env(), [freed] { *freed = Freed{}; });
  return info.Env().Undefined();
}

Napi::Value DeviceBinding::write(const Napi::CallbackInfo &info) {
  const auto memory = find(owned_.memories, info[0]);
  const auto offset = countOf(info[1]);
  const auto data = bytesOf(info.Env(), info[2]);
  if (!memory || !offset || !data) return refuseCall(info.Env(), "write(memory, offset, data)");
  if (auto why = owned_.device->lost()) return refuse(info.Env(), *why);
  if (data->empty()) return info.Env().Undefined();
  // A failure makes the device lost; whoever comes next will hear of it.
  if (const auto slot = owned_.staging->take(*data)) {
    queue_.post(info.Env(), [staging = owned_.staging, memory, slot = *slot, offset = *offset, bytes = data->size()] {
      staging->send(slot, *memory, offset, bytes);
    });
  } else {
    auto copy = std::make_shared<std::vector<std::byte>>(data->begin(), data->end());
    queue_.post(info.Env(), [device = owned_.device, memory, offset = *offset, copy] {
      device->write(*memory, offset, *copy);
    });
  }
  return info.Env().Undefined();
}

Napi::Value DeviceBinding::read(const Napi::CallbackInfo &info) {
  const auto memory = find(owned_.memories, info[0]);
  const auto offset = countOf(info[1]);
  const auto into = bytesOf(info.Env(), info[2]);
  if (!memory || !offset || !into) return refuseCall(info.Env(), "read(memory, offset, into)");
  auto bytes = std::make_shared<std::vector<std::byte>>(into->size());
  const auto work = [device = owned_.device, memory, offset = *offset, bytes] {
    return toResult(device->read(*memory, offset, *bytes));
  };
  // Copied on JavaScript's thread, which may have given the memory away meanwhile.
  const auto value = [bytes](Napi::Env env, Napi::Object held) -> Result<Napi::Value> {
    const auto target = bytesOf(env, held.Get(1u));
    if (!target || target->size() != bytes->size()) return Failure{"call", "the array to read into was transferred"};
    std::copy(bytes->begin(), bytes->end(), target->begin());
    return env.Undefined();
  };
  return queue_.promise(info.This().As<Napi::Object>(), work, value, info[2]);
}

Napi::Value DeviceBinding::readSync(const Napi::CallbackInfo &info) {
  const auto memory = find(owned_.memories, info[0]);
  const auto offset = countOf(info[1]);
  const auto into = bytesOf(info.Env(), info[2]);
  if (!memory || !offset || !into) return refuseCall(info.Env(), "readSync(memory, offset, into)");
  auto done = queue_.here([&] { return toResult(owned_.device->read(*memory, *offset, *into)); });
  return done.ok() ? info.Env().Undefined() : refuse(info.Env(), done.failure());
}

Napi::Value DeviceBinding::promiseModule(
    const Napi::CallbackInfo &info, std::function<Result<std::shared_ptr<Module>>(std::shared_ptr<Device>)> make) {
  auto made = std::make_shared<std::shared_ptr<Module>>();
  const auto work = [device = owned_.device, make = std::move(make), made]() -> Result<long> {
    auto module = make(device);
    if (!module.ok()) return module.failure();
    *made = std::move(module.value());
    return 0L;
  };
  return queue_.promise(info.This().As<Napi::Object>(), work,
                        [this, made](Napi::Env env, Napi::Object) -> Result<Napi::Value> {
                          owned_.modules.emplace(nextId_, std::move(*made));
                          return Napi::Value(Napi::Number::New(env, static_cast<double>(nextId_++)));
                        });
}

Napi::Value DeviceBinding::load(const Napi::CallbackInfo &info) {
  auto kernels = readKernels(info[0]);
  const auto code = bytesOf(info.Env(), info[1]);
  if (!owned_.device || !kernels || !code) return refuseCall(info.Env(), "load(kernels, code)");
  std::vector<std::byte> copy(code->begin(), code->end());
  // Code that is text ends with a zero; behind other code one does no harm.
  copy.push_back(std::byte{0});
  return promiseModule(info, [kernels = std::move(*kernels), copy = std::move(copy)](std::shared_ptr<Device> device) {
    return Module::load(std::move(device), copy, kernels);
  });
}

Napi::Value DeviceBinding::compile(const Napi::CallbackInfo &info) {
  auto kernels = readKernels(info[0]);
  if (!owned_.device || !kernels || !info[1].IsString() || !info[2].IsString())
    return refuseCall(info.Env(), "compile(kernels, source, compiler)");
  return promiseModule(
      info, [kernels = std::move(*kernels), source = std::string(info[1].As<Napi::String>()),
             path = std::string(info[2].As<Napi::String>())](std::shared_ptr<Device> device) -> Result<std::shared_ptr<Module>> {
        auto code = cuda::compile(path, source, device->traits());
        if (!code.ok()) return code.failure();
        return Module::load(std::move(device), code.value(), kernels);
      });
}

bool DeviceBinding::readRanges(Napi::Value value, std::vector<Binding> &bindings) const {
  if (!value.IsArray()) return false;
  const auto numbers = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i + 5 <= numbers.Length(); i += 5) {
    const auto memory = find(owned_.memories, numbers.Get(i));
    const auto offset = countOf(numbers.Get(i + 1)), bytes = countOf(numbers.Get(i + 2)),
               stride = countOf(numbers.Get(i + 3)), writes = countOf(numbers.Get(i + 4));
    if (!memory || !offset || !bytes || !stride || !writes) return false;
    bindings.push_back({memory, *offset, *bytes, *stride, *writes != 0});
  }
  return numbers.Length() % 5 == 0;
}

Napi::Value DeviceBinding::sequence(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const char *shape = "sequence(module, launches)";
  const auto module = find(owned_.modules, info[0]);
  if (!owned_.device || !module || !info[1].IsArray()) return refuseCall(env, shape);
  const auto list = info[1].As<Napi::Array>();
  std::vector<Launch> launches;
  for (std::uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value item = list.Get(i);
    if (!item.IsObject()) return refuseCall(env, shape);
    const auto object = item.As<Napi::Object>();
    const auto kernel = countOf(object.Get("kernel")), groups = countOf(object.Get("groups"));
    if (!kernel || *kernel >= module->kernels().size() || !groups) return refuseCall(env, shape);
    Launch launch{module->kernels()[*kernel], static_cast<unsigned>(*groups), {}};
    if (!readRanges(object.Get("ranges"), launch.bindings)) return refuseCall(env, shape);
    launches.push_back(std::move(launch));
  }
  auto made = Sequence::make(owned_.device, module, std::move(launches));
  if (!made.ok()) return refuse(env, made.failure());
  owned_.sequences.emplace(nextId_, std::move(made.value()));
  return Napi::Number::New(env, static_cast<double>(nextId_++));
}

Napi::Value DeviceBinding::run(const Napi::CallbackInfo &info) {
  const auto sequence = find(owned_.sequences, info[0]);
  const auto steps = countOf(info[1]);
  if (!sequence || !steps) return refuseCall(info.Env(), "run(sequence, steps)");
  return queue_.promise(info.This().As<Napi::Object>(),
                        [this, sequence, steps = static_cast<long>(*steps), since = sequence->stops()] {
                          return sequence->run(steps, since, [this] { return queue_.quitting(); });
                        });
}

Napi::Value DeviceBinding::runSync(const Napi::CallbackInfo &info) {
  const auto sequence = find(owned_.sequences, info[0]);
  const auto steps = countOf(info[1]);
  if (!sequence || !steps) return refuseCall(info.Env(), "runSync(sequence, steps)");
  auto done = queue_.here([&] {
    return sequence->run(static_cast<long>(*steps), sequence->stops(), [] { return false; });
  });
  if (!done.ok()) return refuse(info.Env(), done.failure());
  return Napi::Number::New(info.Env(), static_cast<double>(done.value()));
}

Napi::Value DeviceBinding::stop(const Napi::CallbackInfo &info) {
  if (const auto sequence = find(owned_.sequences, info[0])) sequence->stop();
  return info.Env().Undefined();
}

Napi::Value DeviceBinding::close(const Napi::CallbackInfo &info) {
  // All of it goes with the job, to end where it was used.
  auto owned = std::make_shared<Owned>(std::exchange(owned_, Owned{}));
  const auto work = [owned]() -> Result<long> {
    const std::shared_ptr<Device> device = owned->device;
    { const Owned rest = std::exchange(*owned, Owned{}); }
    return device ? toResult(device->close()) : Result<long>(0L);
  };
  return queue_.close(info.This().As<Napi::Object>(), work);
}

}  // namespace kiln::cuda
