// Runs launches of an emulated program: runner LIBRARY < job > buffers. A job is 64-bit integers: order of the threads,
// seconds it may take, 1 to look for races, number of buffers, bytes of each; number of launches; of each launch the
// length of the kernel's name, blocks, threads, number of pointers, and (buffer, offset, bytes) of each pointer, where 0
// bytes are all that follow; then the launches' kernel names, and the buffers' bytes. All buffers are written back. What
// goes wrong in a kernel is told on the standard error, with status 3. Compiled with -fsanitize=address, what a launch
// was not given is closed to it.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace {

using Launch = int(const char *, unsigned, unsigned, void **, int);
using Error = const char *();
using Where = void(char *, size_t);
using Watch = void(unsigned, char **, char **, unsigned, char **, char **);

Where *where;

void tell_and_end(int signal) {
  char text[512] = "";
  where(text, sizeof text - 1);
  const char *what = signal == SIGALRM ? ": it does not come to an end\n" : ": it reaches outside of all memory\n";
  if (write(2, text, strlen(text)) < 0 || write(2, what, strlen(what)) < 0) _exit(4);
  _exit(3);
}

// Signals are handled on a stack of their own: a thread's may be what was overrun.
void listen(int signal) {
  static char stack[65536];
  const stack_t own = {stack, 0, sizeof stack};
  sigaltstack(&own, nullptr);
  struct sigaction action = {};
  action.sa_handler = tell_and_end;
  action.sa_flags = SA_ONSTACK;
  sigaction(signal, &action, nullptr);
}

[[noreturn]] void give_up(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(2);
}

int64_t number() {
  int64_t value;
  if (fread(&value, sizeof value, 1, stdin) != 1) give_up("the job is too short");
  return value;
}

struct Binding {
  int64_t buffer, offset, bytes;
};

struct Step {
  std::string kernel;
  int64_t name_bytes, groups, threads;
  std::vector<Binding> bindings;
};

struct Buffer {
  char *begin;
  int64_t bytes;
};

template <typename F> F *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (found == nullptr) give_up(dlerror());
  return reinterpret_cast<F *>(found);
}

}  // namespace

int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : nullptr;
  if (library == nullptr) give_up(argc == 2 ? dlerror() : "usage: runner LIBRARY");
  Launch *launch = symbol<Launch>(library, "kiln_emulated_launch");
  Error *error = symbol<Error>(library, "kiln_emulated_error");
  Watch *watch = symbol<Watch>(library, "kiln_emulated_watch");
  where = symbol<Where>(library, "kiln_emulated_where");

  const int64_t order = number(), seconds = number(), races = number();
  std::vector<Buffer> buffers(number());
  for (Buffer &buffer : buffers) buffer.bytes = number();
  std::vector<Step> steps(number());
  for (Step &step : steps) {
    step.name_bytes = number(), step.groups = number(), step.threads = number();
    step.bindings.resize(number());
    for (Binding &binding : step.bindings) binding.buffer = number(), binding.offset = number(), binding.bytes = number();
  }
  for (Step &step : steps) {
    step.kernel.resize(step.name_bytes);
    if (fread(&step.kernel[0], 1, step.name_bytes, stdin) != size_t(step.name_bytes)) give_up("the job is too short");
  }
  // What reaches over the end falls into this.
  const int64_t slack = 4096;
  for (Buffer &buffer : buffers) {
    buffer.begin = static_cast<char *>(aligned_alloc(256, (buffer.bytes + slack + 255) / 256 * 256));
    if (fread(buffer.begin, 1, buffer.bytes, stdin) != size_t(buffer.bytes)) give_up("the job is too short");
    memset(buffer.begin + buffer.bytes, 0xff, slack);
  }

  listen(SIGALRM);
#ifndef __SANITIZE_ADDRESS__
  listen(SIGSEGV);
#endif
  alarm(unsigned(seconds));
  for (const Step &step : steps) {
    std::vector<void *> pointers;
    std::vector<char *> begins, ends, first, last;
    for (const Buffer &buffer : buffers) {
      begins.push_back(buffer.begin);
      ends.push_back(buffer.begin + buffer.bytes + slack);
    }
    for (const Binding &binding : step.bindings) {
      const Buffer &buffer = buffers.at(binding.buffer);
      char *begin = buffer.begin + binding.offset;
      if (binding.offset + binding.bytes > buffer.bytes) give_up("a binding reaches beyond its buffer");
      pointers.push_back(begin);
      first.push_back(begin);
      last.push_back(binding.bytes == 0 ? buffer.begin + buffer.bytes : begin + binding.bytes);
    }
#ifdef __SANITIZE_ADDRESS__
    for (size_t i = 0; i < buffers.size(); i++) ASAN_POISON_MEMORY_REGION(begins[i], ends[i] - begins[i]);
    for (size_t i = 0; i < first.size(); i++) ASAN_UNPOISON_MEMORY_REGION(first[i], last[i] - first[i]);
#endif
    if (races) watch(begins.size(), begins.data(), ends.data(), first.size(), first.data(), last.data());
    if (launch(step.kernel.c_str(), unsigned(step.groups), unsigned(step.threads), pointers.data(), int(order)) != 0) {
      fprintf(stderr, "%s\n", error());
      return 3;
    }
  }
  alarm(0);
  for (const Buffer &buffer : buffers) {
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(buffer.begin, buffer.bytes);
#endif
    fwrite(buffer.begin, 1, buffer.bytes, stdout);
  }
  return 0;
}
