#include "wgpu-api.h"

#include <map>
#include <memory>
#include <mutex>

#include "named-library.h"

namespace kiln {

namespace {

// What the vendored headers describe: 29.x. Other major versions number things differently.
constexpr std::uint32_t headerMajor = 29;

Result<std::unique_ptr<WgpuApi>> load(const std::string &path) {
  auto library = NamedLibrary::open(path);
  if (!library.ok()) return library.failure();
  auto api = std::make_unique<WgpuApi>();
  const char *missing = nullptr;
#define KILN_WGPU_FIND(name)                                                          \
  api->name = reinterpret_cast<decltype(api->name)>(library.value().find("wgpu" #name)); \
  if (api->name == nullptr) missing = "wgpu" #name;
  KILN_WGPU_FUNCTIONS(KILN_WGPU_FIND)
#undef KILN_WGPU_FIND
  if (missing != nullptr) return Failure{"library", std::string("it has no function ") + missing};
  if (const std::uint32_t major = api->GetVersion() >> 24; major != headerMajor)
    return Failure{"library", "it is version " + std::to_string(major) + " of wgpu-native, not " +
                                  std::to_string(headerMajor)};
  return api;
}

}  // namespace

Result<const WgpuApi *> WgpuApi::open(const std::string &path) {
  static std::mutex mutex;
  // Never destroyed: devices of other threads may outlive static objects.
  static auto &opened = *new std::map<std::string, std::unique_ptr<WgpuApi>>;
  std::lock_guard lock(mutex);
  if (const auto found = opened.find(path); found != opened.end()) return found->second.get();
  auto loaded = load(path);
  if (!loaded.ok()) return loaded.failure();
  return (opened[path] = std::move(loaded.value())).get();
}

WGPUStringView toView(const std::string &text) { return {text.data(), text.size()}; }

std::string toString(WGPUStringView view) {
  if (view.data == nullptr) return "";
  return view.length == WGPU_STRLEN ? std::string(view.data) : std::string(view.data, view.length);
}

}  // namespace kiln
