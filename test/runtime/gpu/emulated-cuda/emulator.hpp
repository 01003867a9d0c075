// An emulated CUDA driver, for tests: a library with the functions of libcuda that Kiln calls, which is opened in its place
// (`KILN_CUDA_DRIVER`). Kernels run on the processor under test/codegen/targets/cuda/emulation. It is strict where drivers
// are lenient: every handle must be alive, every pointer must lie in memory that is, a context must be current, and what is
// not given back is a leak. It talks to the test through files in the folder `KILN_EMULATED_CUDA`:
//   settings  read when a context is made: a word and a value a line
//               gpus N, capability NN, driver NNNN, memory BYTES; deferred 1: streams run when somebody waits for them;
//               order ascending|descending|shuffled: in which of the orders its edges allow a graph runs
//   fail      "function n code": the n-th call of that function since the file was written fails with that code
//   log       what the emulator writes: "call F" for each call, "misuse ...", "leak ...", "fault ..."
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "cuda-api.h"

#define EMULATED extern "C" __attribute__((visibility("default")))

namespace emulated {

using namespace kiln::cuda;

constexpr CUresult INVALID_VALUE = 1, NOT_INITIALIZED = 3, INVALID_HANDLE = 400;

// A kernel's number of pointers and needs, as they stand in its text.
struct KernelText {
  unsigned pointers = 0, threads = 1024, sharedBytes = 0;
};

struct Module;

struct Callable {
  Module *module;
  std::string name;
  KernelText text;
  int dynamicBytes = 0;
};

struct Module {
  void *library = nullptr;
  int (*launch)(const char *, unsigned, unsigned, void **, int) = nullptr;
  const char *(*error)() = nullptr;
  std::map<std::string, KernelText> kernels;
  std::map<std::string, std::unique_ptr<Callable>> functions;
};

// Runs when the stream comes to it.
using Operation = std::function<CUresult()>;

struct Event;

struct Stream {
  struct Item {
    Operation run;
    Event *event;
    std::uint64_t record;
  };
  std::vector<Item> queue;
};

struct Event {
  // How many records were asked for, and were reached.
  std::uint64_t asked = 0, reached = 0;
};

struct Node {
  Callable *function;
  unsigned groups, threads;
  std::vector<void *> pointers;
  std::vector<std::size_t> after;
};

struct Graph {
  std::vector<std::unique_ptr<Node>> nodes;
};

struct GraphExec {
  Graph *graph;
  std::vector<Node> nodes;
};

// A block of memory, of the device or pinned, with guard zones around it.
struct Block {
  std::size_t bytes;
  std::vector<unsigned char> storage;
};

struct Emulator {
  std::recursive_mutex mutex;
  std::string folder;
  bool initialised = false;
  int gpus = 1, capability = 80, driver = 13000;
  std::size_t memory = std::size_t{1} << 30, used = 0;
  bool deferred = false;
  std::string order = "ascending";
  std::uint64_t seed = 1;
  int contexts = 0;
  // The error that every call gives after one that breaks the context.
  CUresult sticky = SUCCESS;
  std::map<std::uintptr_t, Block> device, pinned;
  std::set<void *> streams, events, modules, graphs, execs;

  void log(const std::string &line);
  void misuse(const std::string &text);
  void readSettings();
  // The code a call is to fail with, by the file `fail`.
  CUresult injected(const std::string &name);
  // The block that holds [address, address + bytes), or null.
  Block *find(std::map<std::uintptr_t, Block> &blocks, const void *address, std::size_t bytes);
  std::uintptr_t add(std::map<std::uintptr_t, Block> &blocks, std::size_t bytes, unsigned char fill);
  bool remove(std::map<std::uintptr_t, Block> &blocks, std::uintptr_t address, const char *what);
  // Runs a stream's queue, to its end or until an event is reached.
  CUresult drain(Stream &stream, Event *until = nullptr);
  CUresult drainAll();
  CUresult enqueue(CUstream stream, Operation run, Event *event = nullptr);
  void reportLeaks();
};

extern Emulator emulator;
extern thread_local bool current;

// What each function does first: logs the call, and finds what it is to fail with.
class Entry {
 public:
  enum Needs { nothing, initialisation, context };
  Entry(const char *name, Needs needs);
  // Not SUCCESS if the call is to fail.
  CUresult result() const { return result_; }
  // What a function that gives something back ends with, after it has done so.
  CUresult released() const { return result_; }

 private:
  std::lock_guard<std::recursive_mutex> lock_;
  CUresult result_ = SUCCESS;
};

template <class Handle>
bool alive(const std::set<void *> &live, Handle handle, const char *function) {
  if (live.count(const_cast<void *>(static_cast<const void *>(handle))) != 0) return true;
  emulator.misuse(std::string(function) + ": a handle that is not alive");
  return false;
}

// Compiles an image's text; a code, and the compiler's words in `log`.
CUresult build(const std::string &text, Module &module, std::string &log);
// Whether the compiler accepts the text.
bool accepts(const std::string &text, std::string &log);
std::map<std::string, KernelText> kernelsOf(const std::string &text);

}  // namespace emulated
