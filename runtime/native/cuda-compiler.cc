#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "cuda-module.h"
#include "named-library.h"

namespace kiln::cuda {

namespace {

using Program = struct NvrtcProgram *;

#define KILN_NVRTC_FUNCTIONS(X)                                                                                     \
  X(nvrtcGetNumSupportedArchs, (int *count))                                                                        \
  X(nvrtcGetSupportedArchs, (int *archs))                                                                           \
  X(nvrtcCreateProgram, (Program * program, const char *source, const char *name, int count, const char *const *headers, \
                         const char *const *includeNames))                                                          \
  X(nvrtcCompileProgram, (Program program, int count, const char *const *options))                                  \
  X(nvrtcGetCUBINSize, (Program program, std::size_t *size))                                                        \
  X(nvrtcGetCUBIN, (Program program, char *code))                                                                   \
  X(nvrtcGetPTXSize, (Program program, std::size_t *size))                                                          \
  X(nvrtcGetPTX, (Program program, char *code))                                                                     \
  X(nvrtcGetProgramLogSize, (Program program, std::size_t *size))                                                   \
  X(nvrtcGetProgramLog, (Program program, char *log))                                                               \
  X(nvrtcDestroyProgram, (Program * program))

constexpr int compilationFailed = 6;

struct Compiler {
#define KILN_NVRTC_MEMBER(name, parameters) Function<int parameters> name{#name, nullptr};
  KILN_NVRTC_FUNCTIONS(KILN_NVRTC_MEMBER)
#undef KILN_NVRTC_MEMBER
  Function<const char *(int)> nvrtcGetErrorString{"nvrtcGetErrorString", nullptr};

  template <class... Parameters, class... Arguments>
  std::optional<Failure> call(const Function<int(Parameters...)> &function, Arguments... arguments) const {
    const int result = function.pointer(arguments...);
    if (result == 0) return std::nullopt;
    const char *text = nvrtcGetErrorString.pointer(result);
    return Failure{"nvrtc", std::string(function.name) + ": " + (text == nullptr ? "error " + std::to_string(result) : text)};
  }
};

Result<std::unique_ptr<Compiler>> loadCompiler(const std::string &path) {
  auto library = NamedLibrary::open(path);
  if (!library.ok()) return Failure{"nvrtc", library.failure().text};
  auto compiler = std::make_unique<Compiler>();
  const auto find = [&](auto &function) {
    function.pointer = reinterpret_cast<decltype(function.pointer)>(library.value().find(function.name));
    return function.pointer != nullptr;
  };
  bool whole = find(compiler->nvrtcGetErrorString);
#define KILN_NVRTC_FIND(name, parameters) whole = find(compiler->name) && whole;
  KILN_NVRTC_FUNCTIONS(KILN_NVRTC_FIND)
#undef KILN_NVRTC_FIND
  if (!whole) return Failure{"nvrtc", path + " lacks functions; it is too old, or no NVRTC"};
  return compiler;
}

Result<const Compiler *> openCompiler(const std::string &path) {
  static std::mutex mutex;
  static auto &opened = *new std::map<std::string, std::unique_ptr<Compiler>>;
  std::lock_guard lock(mutex);
  if (const auto found = opened.find(path); found != opened.end()) return found->second.get();
  auto loaded = loadCompiler(path);
  if (!loaded.ok()) return loaded.failure();
  return (opened[path] = std::move(loaded.value())).get();
}

// What to compile for: machine code if the compiler knows the GPU, else PTX for the newest one it knows below it.
struct Goal {
  std::string option;
  bool machineCode;
};

Result<Goal> goalFor(const Compiler &compiler, const Traits &traits) {
  int count = 0;
  if (auto failure = compiler.call(compiler.nvrtcGetNumSupportedArchs, &count)) return *failure;
  std::vector<int> archs(static_cast<std::size_t>(std::max(count, 0)));
  if (!archs.empty())
    if (auto failure = compiler.call(compiler.nvrtcGetSupportedArchs, archs.data())) return *failure;
  const int wanted = traits.major * 10 + traits.minor;
  int best = 0;
  for (const int arch : archs)
    if (arch <= wanted) best = std::max(best, arch);
  if (best == 0) return Failure{"nvrtc", "it compiles for no GPU as old as this one"};
  // From Hopper on, what a GPU has for itself alone needs the `a`.
  if (best == wanted) return Goal{"--gpu-architecture=sm_" + std::to_string(best) + (best >= 90 ? "a" : ""), true};
  return Goal{"--gpu-architecture=compute_" + std::to_string(best), false};
}

// A program of the compiler, destroyed at the end of the scope.
class Source {
 public:
  explicit Source(const Compiler &compiler) : compiler_(compiler) {}
  ~Source() {
    // Nobody can do anything about a failure, and the process loses nothing but memory.
    if (program != nullptr) compiler_.nvrtcDestroyProgram.pointer(&program);
  }
  Source(const Source &) = delete;
  Source &operator=(const Source &) = delete;
  Program program = nullptr;

 private:
  const Compiler &compiler_;
};

std::string logOf(const Compiler &compiler, Program program) {
  std::size_t size = 0;
  if (compiler.call(compiler.nvrtcGetProgramLogSize, program, &size) || size <= 1) return "no log";
  std::string log(size, '\0');
  if (compiler.call(compiler.nvrtcGetProgramLog, program, log.data())) return "no log";
  log.resize(size - 1);
  return log;
}

}  // namespace

Result<std::vector<std::byte>> compile(const std::string &path, const std::string &text, const Traits &traits) {
  auto opened = openCompiler(path);
  if (!opened.ok()) return opened.failure();
  const Compiler &compiler = *opened.value();
  auto goal = goalFor(compiler, traits);
  if (!goal.ok()) return goal.failure();
  Source source(compiler);
  if (auto failure =
          compiler.call(compiler.nvrtcCreateProgram, &source.program, text.c_str(), "program.cu", 0, nullptr, nullptr))
    return *failure;
  // The same meaning as `nvcc` gives it in compiler/build/cuda.ts: no fast mathematics.
  const std::array<const char *, 2> options{goal.value().option.c_str(), "--std=c++17"};
  const int result = compiler.nvrtcCompileProgram.pointer(source.program, static_cast<int>(options.size()), options.data());
  if (result == compilationFailed) return Failure{"compile", logOf(compiler, source.program)};
  if (result != 0) return Failure{"nvrtc", std::string("nvrtcCompileProgram: ") + compiler.nvrtcGetErrorString.pointer(result)};
  const bool machineCode = goal.value().machineCode;
  std::size_t size = 0;
  if (auto failure =
          compiler.call(machineCode ? compiler.nvrtcGetCUBINSize : compiler.nvrtcGetPTXSize, source.program, &size))
    return *failure;
  std::vector<std::byte> code(size);
  if (auto failure = compiler.call(machineCode ? compiler.nvrtcGetCUBIN : compiler.nvrtcGetPTX, source.program,
                                   reinterpret_cast<char *>(code.data())))
    return *failure;
  return code;
}

}  // namespace kiln::cuda
