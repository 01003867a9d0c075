#include "emulator.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace emulated {

Emulator emulator;
thread_local bool current = false;

namespace {

constexpr std::size_t guard = 512;
constexpr unsigned char guardByte = 0x5a;

bool breaksContext(CUresult code) { return code == ECC_UNCORRECTABLE || (code >= ILLEGAL_ADDRESS && code <= LAUNCH_FAILED); }

}  // namespace

void Emulator::log(const std::string &line) {
  std::ofstream(folder + "/log", std::ios::app) << line << '\n';
}

void Emulator::misuse(const std::string &text) { log("misuse " + text); }

void Emulator::readSettings() {
  gpus = 1, capability = 80, driver = 13000, memory = std::size_t{1} << 30, deferred = false, order = "ascending";
  std::ifstream file(folder + "/settings");
  std::string word;
  while (file >> word) {
    if (word == "gpus") file >> gpus;
    if (word == "capability") file >> capability;
    if (word == "driver") file >> driver;
    if (word == "memory") file >> memory;
    if (word == "deferred") file >> deferred;
    if (word == "order") file >> order;
  }
}

CUresult Emulator::injected(const std::string &name) {
  static std::string seen;
  static int calls = 0;
  std::ifstream file(folder + "/fail");
  std::stringstream text;
  text << file.rdbuf();
  if (text.str() != seen) {
    seen = text.str();
    calls = 0;
  }
  std::string function;
  int nth = 0, code = 0;
  text >> function >> nth >> code;
  if (function != name || ++calls != nth) return SUCCESS;
  return code;
}

Block *Emulator::find(std::map<std::uintptr_t, Block> &blocks, const void *address, std::size_t bytes) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  auto next = blocks.upper_bound(at);
  if (next == blocks.begin()) return nullptr;
  auto &[begin, block] = *std::prev(next);
  return at + bytes <= begin + block.bytes ? &block : nullptr;
}

std::uintptr_t Emulator::add(std::map<std::uintptr_t, Block> &blocks, std::size_t bytes, unsigned char fill) {
  Block block{bytes, std::vector<unsigned char>(bytes + 2 * guard + 256, guardByte)};
  const auto base = reinterpret_cast<std::uintptr_t>(block.storage.data());
  const std::uintptr_t address = (base + guard + 255) / 256 * 256;
  std::memset(reinterpret_cast<void *>(address), fill, bytes);
  blocks.emplace(address, std::move(block));
  return address;
}

bool Emulator::remove(std::map<std::uintptr_t, Block> &blocks, std::uintptr_t address, const char *what) {
  const auto found = blocks.find(address);
  if (found == blocks.end()) {
    misuse(std::string(what) + ": memory that is not alive");
    return false;
  }
  const auto &[begin, block] = *found;
  const auto *data = block.storage.data();
  const std::size_t before = begin - reinterpret_cast<std::uintptr_t>(data);
  const auto touched = [](unsigned char byte) { return byte != guardByte; };
  if (std::any_of(data, data + before, touched) ||
      std::any_of(data + before + block.bytes, data + block.storage.size(), touched))
    misuse(std::string(what) + ": something wrote beside this memory");
  blocks.erase(found);
  return true;
}

CUresult Emulator::drain(Stream &stream, Event *until) {
  const std::uint64_t goal = until == nullptr ? 0 : until->asked;
  std::size_t done = 0;
  while (done < stream.queue.size() && (until == nullptr || until->reached < goal)) {
    Stream::Item &item = stream.queue[done++];
    if (sticky == SUCCESS && item.run) {
      const CUresult result = item.run();
      if (result != SUCCESS) sticky = result;
    }
    if (item.event != nullptr) item.event->reached = std::max(item.event->reached, item.record);
  }
  stream.queue.erase(stream.queue.begin(), stream.queue.begin() + static_cast<std::ptrdiff_t>(done));
  return sticky;
}

CUresult Emulator::drainAll() {
  for (void *stream : streams) drain(*static_cast<Stream *>(stream));
  return sticky;
}

CUresult Emulator::enqueue(CUstream handle, Operation run, Event *event) {
  auto &stream = *reinterpret_cast<Stream *>(handle);
  stream.queue.push_back({std::move(run), event, event == nullptr ? 0 : ++event->asked});
  return deferred ? SUCCESS : drain(stream);
}

void Emulator::reportLeaks() {
  const auto report = [this](std::size_t count, const char *what) {
    if (count != 0) log("leak " + std::to_string(count) + " " + what);
  };
  report(device.size(), "memories");
  report(pinned.size(), "pinned memories");
  report(streams.size(), "streams");
  report(events.size(), "events");
  report(modules.size(), "modules");
  report(graphs.size(), "graphs");
  report(execs.size(), "executable graphs");
  // What was left behind must not count for the next test too.
  device.clear(), pinned.clear(), streams.clear(), events.clear(), modules.clear(), graphs.clear(), execs.clear();
  used = 0;
}

Entry::Entry(const char *name, Needs needs) : lock_(emulator.mutex) {
  if (emulator.folder.empty())
    if (const char *folder = std::getenv("KILN_EMULATED_CUDA")) emulator.folder = folder;
  emulator.log(std::string("call ") + name);
  if (needs != nothing && !emulator.initialised) {
    emulator.misuse(std::string(name) + ": before cuInit");
    result_ = NOT_INITIALIZED;
  } else if (needs == context && (!current || emulator.contexts == 0)) {
    emulator.misuse(std::string(name) + ": without a context");
    result_ = INVALID_CONTEXT;
  } else if (needs == context && emulator.sticky != SUCCESS) {
    result_ = emulator.sticky;
  } else {
    result_ = emulator.injected(name);
    // Without a context nothing is left that could be broken.
    if (breaksContext(result_) && emulator.contexts > 0) emulator.sticky = result_;
  }
}

}  // namespace emulated
