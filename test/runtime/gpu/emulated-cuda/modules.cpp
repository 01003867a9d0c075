// Modules of the emulated driver, and an emulated NVRTC. An image is a line "KILN-EMULATED capability driver" and CUDA C++;
// it is compiled when it is loaded, with the emulation that lies in the folder `emulation` of the test's folder.
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <regex>
#include <sstream>

#include "emulator.hpp"

extern char **environ;

namespace emulated {

namespace {

std::string contents(const std::string &path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Runs the C++ compiler; whether it succeeded, and its words.
bool compiler(std::vector<std::string> words, std::string &log) {
  const char *named = std::getenv("CXX");
  words.insert(words.begin(), named == nullptr ? "g++" : named);
  std::vector<char *> arguments;
  for (std::string &word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const std::string path = emulator.folder + "/compiler.log";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 1;
  if (failed == 0) waitpid(child, &status, 0);
  log = contents(path);
  return failed == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

const std::vector<std::string> flags = {"-std=c++17", "-fPIC", "-fvisibility=hidden", "-w", "-O1", "-fwrapv"};

std::vector<std::string> withFlags(std::vector<std::string> words) {
  words.insert(words.begin(), flags.begin(), flags.end());
  return words;
}

std::string emulation() { return emulator.folder + "/emulation/"; }

std::string headed(const std::string &text) {
  return "#include \"" + emulation() + "cuda-emulation.hpp\"\n#line 1 \"program.cu\"\n" + text;
}

}  // namespace

std::map<std::string, KernelText> kernelsOf(const std::string &text) {
  static const std::regex head(R"(__global__\s+void\s+(?:__launch_bounds__\((\d+)[^)]*\)\s*)?(\w+)\s*\(([^)]*)\)\s*\{)");
  static const std::regex array(R"(KILN_SHARED\(([\w ]+), \w+, (\d+)\))");
  static const std::map<std::string, unsigned> sizes = {{"double", 8}, {"long long", 8}, {"unsigned char", 1},
                                                        {"signed char", 1}, {"short", 2}};
  std::map<std::string, KernelText> kernels;
  for (std::sregex_iterator it(text.begin(), text.end(), head), end; it != end; ++it) {
    KernelText kernel;
    if ((*it)[1].matched) kernel.threads = static_cast<unsigned>(std::stoul((*it)[1]));
    const std::string parameters = (*it)[3];
    const bool some = parameters.find_first_not_of(" \n") != std::string::npos;
    kernel.pointers = some ? 1 + static_cast<unsigned>(std::count(parameters.begin(), parameters.end(), ',')) : 0;
    const auto next = std::next(it);
    const std::string body(it->suffix().first, next == end ? text.end() : (*next)[0].first);
    for (std::sregex_iterator each(body.begin(), body.end(), array); each != std::sregex_iterator(); ++each) {
      const auto size = sizes.find((*each)[1]);
      const unsigned bytes = (size == sizes.end() ? 4 : size->second) * static_cast<unsigned>(std::stoul((*each)[2]));
      kernel.sharedBytes += (bytes + 15) / 16 * 16;
    }
    kernels[(*it)[2]] = kernel;
  }
  return kernels;
}

bool accepts(const std::string &text, std::string &log) {
  static std::set<std::string> accepted;
  if (accepted.count(text) != 0) return true;
  const std::string file = emulator.folder + "/checked.cpp";
  std::ofstream(file) << headed(text);
  if (!compiler(withFlags({"-fsyntax-only", file}), log)) return false;
  accepted.insert(text);
  return true;
}

CUresult build(const std::string &text, Module &module, std::string &log) {
  // The same text is compiled once.
  static std::map<std::string, std::string> built;
  module.kernels = kernelsOf(text);
  const std::string base = emulator.folder + "/module" + std::to_string(built.size());
  const auto open = [&](const std::string &library) {
    module.library = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module.library == nullptr) {
      log = dlerror();
      return INVALID_IMAGE;
    }
    module.launch = reinterpret_cast<decltype(module.launch)>(dlsym(module.library, "kiln_emulated_launch"));
    module.error = reinterpret_cast<decltype(module.error)>(dlsym(module.library, "kiln_emulated_error"));
    return SUCCESS;
  };
  if (const auto known = built.find(text); known != built.end()) return open(known->second);
  const std::string runtime = emulator.folder + "/emulation.o";
  if (access(runtime.c_str(), R_OK) != 0 &&
      !compiler(withFlags({"-c", emulation() + "cuda-emulation.cpp", "-o", runtime}), log))
    return INVALID_IMAGE;
  std::string rows;
  for (const auto &[name, kernel] : module.kernels)
    rows += "{\"" + name + "\", [](void **pointers) { kiln_emulation::call(" + name + ", pointers); }}, ";
  std::ofstream(base + ".cpp") << headed(text)
                               << "\nextern const kiln_emulation::kernel kiln_unit[] = {" << rows
                               << "{nullptr, nullptr}};\nextern const kiln_emulation::kernel *const kiln_emulated_units[]"
                               << " = {kiln_unit, nullptr};\n";
  if (!compiler(withFlags({"-shared", base + ".cpp", runtime, "-lm", "-o", base + ".so"}), log)) return INVALID_SOURCE;
  built[text] = base + ".so";
  return open(base + ".so");
}

}  // namespace emulated

using namespace emulated;

EMULATED CUresult cuModuleLoadDataEx(CUmodule *handle, const void *image, unsigned count, JitOption *options,
                                     void **values) {
  Entry entry(__func__, Entry::context);
  if (entry.result() != SUCCESS) return entry.result();
  std::string log;
  const auto refuse = [&](CUresult code) {
    for (unsigned i = 0; i < count; i++)
      if (options[i] == JIT_ERROR_LOG_BUFFER) std::strncpy(static_cast<char *>(values[i]), log.c_str(), 1000);
    return code;
  };
  const char *text = static_cast<const char *>(image);
  if (std::strncmp(text, "KILN-EMULATED ", 14) != 0) return refuse(INVALID_IMAGE);
  int capability = 0, driver = 0, read = 0;
  if (std::sscanf(text + 14, "%d %d\n%n", &capability, &driver, &read) != 2) return refuse(INVALID_IMAGE);
  if (capability > emulator.capability) return refuse(NO_BINARY_FOR_GPU);
  if (driver > emulator.driver) {
    log = "ptxas: unsupported .version";
    return refuse(UNSUPPORTED_PTX_VERSION);
  }
  auto module = std::make_unique<Module>();
  if (const CUresult result = build(text + 14 + read, *module, log); result != SUCCESS) return refuse(result);
  emulator.modules.insert(module.get());
  *handle = reinterpret_cast<CUmodule>(module.release());
  return SUCCESS;
}

EMULATED CUresult cuModuleUnload(CUmodule module) {
  Entry entry(__func__, Entry::context);
  if (!alive(emulator.modules, module, __func__)) return INVALID_HANDLE;
  for (void *stream : emulator.streams)
    if (emulator.sticky == SUCCESS && !static_cast<Stream *>(stream)->queue.empty())
      emulator.misuse("cuModuleUnload: while a stream may still use it");
  auto *found = reinterpret_cast<Module *>(module);
  emulator.drainAll();
  emulator.modules.erase(module);
  dlclose(found->library);
  delete found;
  return entry.released();
}

EMULATED CUresult cuModuleGetFunction(CUfunction *handle, CUmodule module, const char *name) {
  Entry entry(__func__, Entry::context);
  if (entry.result() != SUCCESS) return entry.result();
  if (!alive(emulator.modules, module, __func__)) return INVALID_HANDLE;
  Module &found = *reinterpret_cast<Module *>(module);
  const auto kernel = found.kernels.find(name);
  if (kernel == found.kernels.end()) return NOT_FOUND;
  auto &function = found.functions[name];
  if (!function) function = std::make_unique<Callable>(Callable{&found, name, kernel->second});
  *handle = reinterpret_cast<CUfunction>(function.get());
  return SUCCESS;
}

EMULATED CUresult cuFuncGetAttribute(int *value, FunctionAttribute attribute, CUfunction function) {
  Entry entry(__func__, Entry::context);
  if (entry.result() != SUCCESS) return entry.result();
  const KernelText &text = reinterpret_cast<Callable *>(function)->text;
  *value = static_cast<int>(attribute == FUNC_MAX_THREADS_PER_BLOCK ? text.threads : text.sharedBytes);
  return SUCCESS;
}

EMULATED CUresult cuFuncSetAttribute(CUfunction function, FunctionAttribute, int value) {
  Entry entry(__func__, Entry::context);
  if (entry.result() != SUCCESS) return entry.result();
  if (value > 99 * 1024) return INVALID_VALUE;
  reinterpret_cast<Callable *>(function)->dynamicBytes = value;
  return SUCCESS;
}

namespace {

struct Program {
  std::string text, log;
};

}  // namespace

EMULATED const char *nvrtcGetErrorString(int code) { return code == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }
EMULATED int nvrtcGetNumSupportedArchs(int *count) {
  Entry entry(__func__, Entry::nothing);
  *count = 2;
  return entry.result();
}
EMULATED int nvrtcGetSupportedArchs(int *archs) {
  Entry entry(__func__, Entry::nothing);
  archs[0] = 80, archs[1] = 90;
  return entry.result();
}
EMULATED int nvrtcCreateProgram(Program **program, const char *source, const char *, int, const char *const *,
                                const char *const *) {
  Entry entry(__func__, Entry::nothing);
  if (entry.result() != SUCCESS) return entry.result();
  *program = new Program{source, ""};
  return 0;
}
EMULATED int nvrtcCompileProgram(Program *program, int count, const char *const *options) {
  Entry entry(__func__, Entry::nothing);
  if (entry.result() != SUCCESS) return entry.result();
  for (int i = 0; i < count; i++) emulator.log(std::string("option ") + options[i]);
  return accepts(program->text, program->log) ? 0 : 6;
}
namespace {
std::string codeOf(const Program &program) { return "KILN-EMULATED 80 0\n" + program.text; }
}  // namespace
#define NVRTC_SIZE(name, value)                          \
  EMULATED int name(Program *program, std::size_t *size) { \
    Entry entry(__func__, Entry::nothing);               \
    *size = (value).size() + 1;                          \
    return entry.result();                               \
  }
#define NVRTC_TEXT(name, value)                     \
  EMULATED int name(Program *program, char *into) { \
    Entry entry(__func__, Entry::nothing);          \
    std::strcpy(into, (value).c_str());             \
    return entry.result();                          \
  }
NVRTC_SIZE(nvrtcGetCUBINSize, codeOf(*program))
NVRTC_TEXT(nvrtcGetCUBIN, codeOf(*program))
NVRTC_SIZE(nvrtcGetPTXSize, codeOf(*program))
NVRTC_TEXT(nvrtcGetPTX, codeOf(*program))
NVRTC_SIZE(nvrtcGetProgramLogSize, program->log)
NVRTC_TEXT(nvrtcGetProgramLog, program->log)
EMULATED int nvrtcDestroyProgram(Program **program) {
  Entry entry(__func__, Entry::nothing);
  delete *program;
  *program = nullptr;
  return entry.result();
}
