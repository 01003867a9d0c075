// The running half of the CUDA emulation (cuda-emulation.hpp says what it does): fibers and their scheduler, barriers,
// warps, and the table of what was touched by whom. Compile it without -fsanitize=thread.
#include "cuda-emulation.hpp"

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
extern "C" void __asan_unpoison_memory_region(const volatile void *address, size_t bytes);
#endif

kiln_triple threadIdx, blockIdx, blockDim, gridDim;

namespace kiln_emulation {
namespace {

enum class State { fresh, ready, at_barrier, at_warp_barrier, done };

struct Fiber {
  void *stack_pointer;
  char *stack;
  State state;
  int line;
};

// Saves what a called function must keep, and goes on where the other stack left off.
extern "C" void kiln_switch_stack(void **save, void *load);
asm(R"(.text
.globl kiln_switch_stack
kiln_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

// A thread's arrays may take 256 KiB; address sanitizing spreads them out.
constexpr size_t stack_bytes = size_t(1) << 20;
// After so many polls of threads, none of which ended or reached a barrier, they wait for each other for ever.
constexpr long most_polls = 1000000;

// Stacks for threads, kept from block to block and given back when this is unloaded.
struct Stacks {
  std::vector<char *> all, unused;

  char *take() {
    if (unused.empty()) {
      void *memory = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      // Under the stack, so that one that overflows is noticed.
      mprotect(memory, 4096, PROT_NONE);
      all.push_back(static_cast<char *>(memory));
      return all.back();
    }
    char *stack = unused.back();
    unused.pop_back();
    return stack;
  }

  ~Stacks() {
    for (char *stack : all) munmap(stack, stack_bytes);
  }
};

Stacks stacks;
std::vector<Fiber> fibers;
std::vector<int> sequence;
std::vector<uint64_t> brought;
std::vector<float> tiles_a, tiles_b;
void *scheduler;
int current;
int thread_count;
void (*body)(void **);
void **arguments;
const char *kernel_name;
long polls;
bool failed;
char message[1024];

struct Shared {
  const void *array;
  unsigned long bytes;
  const char *name;
};
// The shared arrays that the block has come to so far.
std::vector<Shared> shared_arrays;

void leave(State state) {
  fibers[current].state = state;
  kiln_switch_stack(&fibers[current].stack_pointer, scheduler);
}

void tell(const char *format, va_list arguments_of_format) {
  char what[512];
  vsnprintf(what, sizeof what, format, arguments_of_format);
  if (!failed) snprintf(message, sizeof message, "%s, block %u, thread %d: %s", kernel_name, blockIdx.x, current, what);
  failed = true;
}

// Ends the launch with a message; for the scheduler, which looks whether it has `failed`.
void fault(const char *format, ...) {
  va_list rest;
  va_start(rest, format);
  tell(format, rest);
  va_end(rest);
}

// The same on a thread's stack, from where it does not return.
void stop(const char *format, ...) {
  va_list rest;
  va_start(rest, format);
  tell(format, rest);
  va_end(rest);
  leave(State::done);
}

void enter() {
  body(arguments);
  leave(State::done);
}

void prepare(Fiber &fiber, int number) {
  fiber.stack = stacks.take();
  // Stacks that start at the same place of a page would fight for the same lines of the cache.
  void **top = reinterpret_cast<void **>(fiber.stack + stack_bytes - 64 - 64 * (number % 61));
  *--top = nullptr;
  *--top = reinterpret_cast<void *>(&enter);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  fiber.stack_pointer = top;
}

void resume(int number) {
  Fiber &fiber = fibers[number];
  if (fiber.state == State::fresh) prepare(fiber, number);
  fiber.state = State::ready;
  current = number;
  threadIdx.x = number;
  kiln_switch_stack(&scheduler, fiber.stack_pointer);
  if (fiber.state == State::done) {
#ifdef __SANITIZE_ADDRESS__
    if (failed) __asan_unpoison_memory_region(fiber.stack + 4096, stack_bytes - 4096);
#endif
    stacks.unused.push_back(fiber.stack);
  }
}

void begin_stretch();

int count(State state, int begin, int end) {
  int sum = 0;
  for (int i = begin; i < end; i++) sum += fibers[i].state == state;
  return sum;
}

// Lets threads that wait in the same place go on, once all others of theirs are there too.
bool release(State waiting, int begin, int end, const char *what) {
  const int here = count(waiting, begin, end), gone = count(State::done, begin, end);
  if (here == 0 || here + gone < end - begin) return false;
  int first = -1;
  for (int i = begin; i < end; i++) {
    if (fibers[i].state != waiting) {
      current = i;
      fault("it has ended, while others of its %s wait at a barrier", what);
      return false;
    }
    if (first < 0) first = fibers[i].line;
    if (fibers[i].line != first) {
      current = i;
      fault("it waits at the barrier of line %d, while others of its %s wait at that of line %d", fibers[i].line, what, first);
      return false;
    }
  }
  for (int i = begin; i < end; i++) fibers[i].state = State::ready;
  polls = 0;
  return true;
}

bool run_block() {
  shared_arrays.clear();
  for (int i = 0; i < thread_count; i++) fibers[i].state = State::fresh;
  begin_stretch();
  for (int done = 0; done < thread_count && !failed;) {
    bool moved = false;
    for (int number : sequence) {
      const State state = fibers[number].state;
      if (state != State::fresh && state != State::ready) continue;
      resume(number);
      moved = true;
      if (fibers[number].state == State::done) done++, polls = 0;
      if (failed) return false;
    }
    if (done == thread_count) break;
    for (int warp = 0; warp < thread_count; warp += 32) {
      const int end = warp + 32 < thread_count ? warp + 32 : thread_count;
      if (release(State::at_warp_barrier, warp, end, "warp")) moved = true;
    }
    if (release(State::at_barrier, 0, thread_count, "block")) {
      moved = true;
      begin_stretch();
    }
    if (!moved && !failed) fault("it waits for threads that wait for others at another barrier");
    if (polls > most_polls) fault("the threads of its block poll each other for ever");
  }
  return !failed;
}

void order_threads(int order) {
  sequence.resize(thread_count);
  for (int i = 0; i < thread_count; i++) sequence[i] = order == 1 ? thread_count - 1 - i : i;
  uint32_t random = 12345 + blockIdx.x;
  for (int i = thread_count - 1; order == 2 && i > 0; i--) {
    random = random * 1664525u + 1013904223u;
    std::swap(sequence[i], sequence[(random >> 8) % (i + 1)]);
  }
}

// ---- Who touched what: a mark for every byte of the buffers and shared arrays ----

constexpr int nobody = -1, several = -2;

struct Mark {
  int write_block = nobody, write_thread, read_block = nobody, read_thread;
  unsigned write_stretch, read_stretch;
};

struct Region {
  char *begin, *end;
  std::vector<Mark> marks;
  bool shared;
};

struct Place {
  char *begin, *end;
};

bool checks_races;
std::vector<Region> regions;
std::vector<Place> places;
// Counts the stretches between barriers, over all blocks.
unsigned stretch;

void begin_stretch() { stretch++; }

void race(const char *doing, const Region &region, const char *at, int block, int thread, const char *did) {
  char other[64];
  if (thread >= 0) snprintf(other, sizeof other, "block %d, thread %d", block, thread);
  else snprintf(other, sizeof other, "another thread");
  stop("race: it %s byte %ld of a %s, which %s %s since the last barrier", doing, long(at - region.begin),
       region.shared ? "shared array" : "buffer", other, did);
}

// Whether somebody else did something that this access must not meet.
bool meets(int block, int thread, unsigned when) {
  const int here = int(blockIdx.x);
  if (block == nobody) return false;
  if (block != here) return true;
  return when == stretch && thread != current;
}

void touch(char *address, size_t bytes, bool writes) {
  if (!checks_races || failed) return;
  for (Region &region : regions) {
    if (address < region.begin || address >= region.end) continue;
    if (!region.shared) {
      bool inside = false;
      for (const Place &place : places) inside |= address >= place.begin && address + bytes <= place.end;
      if (!inside) return stop("it reaches outside of what it was given, at byte %ld of a buffer", long(address - region.begin));
    }
    for (char *at = address; at < address + bytes && at < region.end; at++) {
      Mark &mark = region.marks[at - region.begin];
      const char *doing = writes ? "writes" : "reads";
      if (meets(mark.write_block, mark.write_thread, mark.write_stretch))
        return race(doing, region, at, mark.write_block, mark.write_thread, "wrote");
      if (writes && meets(mark.read_block, mark.read_thread, mark.read_stretch))
        return race(doing, region, at, mark.read_block, mark.read_thread, "read");
      const int block = int(blockIdx.x);
      if (writes) {
        mark.write_block = block, mark.write_thread = current, mark.write_stretch = stretch;
        continue;
      }
      const bool other_block = mark.read_block != nobody && mark.read_block != block;
      const bool other_thread = mark.read_block == block && mark.read_stretch == stretch && mark.read_thread != current;
      mark.read_block = other_block ? several : block;
      mark.read_thread = other_thread ? several : current;
      mark.read_stretch = stretch;
    }
    return;
  }
}

// Rounds operands as tensor cores do; NaN and infinities stay.
float rounded(float x, Operand format) {
  if (format == Operand::f16) return float(_Float16(x));
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7f800000) == 0x7f800000) return x;
  bits = format == Operand::tf32 ? (bits + 0x1000) & 0xffffe000 : (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000;
  memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace

void barrier(int line) {
  fibers[current].line = line;
  leave(State::at_barrier);
}

void warp_barrier(int line) {
  fibers[current].line = line;
  leave(State::at_warp_barrier);
}

__attribute__((no_sanitize("address"))) static void poison(void *array, unsigned long bytes) {
  volatile unsigned char *at = static_cast<unsigned char *>(array);
  for (unsigned long i = 0; i < bytes; i++) at[i] = 0xff;
}

void shared(void *array, unsigned long bytes, const char *name) {
  for (const Shared &known : shared_arrays)
    if (known.array == array) return;
  shared_arrays.push_back({array, bytes, name});
  poison(array, bytes);
  if (!checks_races) return;
  char *begin = static_cast<char *>(array);
  for (Region &region : regions) {
    if (region.begin != begin) continue;
    region.marks.assign(bytes, Mark());
    return;
  }
  regions.push_back({begin, begin + bytes, std::vector<Mark>(bytes), true});
}

unsigned long long exchange(unsigned long long mine, unsigned source, int line) {
  brought[current] = mine;
  warp_barrier(line);
  const int from = current / 32 * 32 + int(source % 32);
  const unsigned long long theirs = from < thread_count ? brought[from] : mine;
  warp_barrier(line);
  return theirs;
}

void mma(Operand format, float *sums, const float *a, const float *b, int line) {
  const int warp = current / 32, g = current % 32 / 4, t = current % 4;
  if (thread_count % 32 != 0) stop("a product of tiles in a block of %d threads", thread_count);
  float *left = &tiles_a[warp * 256], *right = &tiles_b[warp * 128];
  const bool wide = format != Operand::tf32;
  const int depth = wide ? 16 : 8;
  for (int i = 0; i < depth / 2; i++) {
    const int row = g + 8 * (wide ? i / 2 % 2 : i % 2), k = wide ? 2 * t + i % 2 + 8 * (i / 4) : t + 4 * (i / 2);
    left[row * depth + k] = rounded(a[i], format);
  }
  for (int i = 0; i < depth / 4; i++) {
    const int k = wide ? 2 * t + i % 2 + 8 * (i / 2) : t + 4 * i;
    right[k * 8 + g] = rounded(b[i], format);
  }
  warp_barrier(line);
  for (int i = 0; i < 4; i++) {
    double sum = sums[i];
    for (int k = 0; k < depth; k++) sum += double(left[(g + 8 * (i / 2)) * depth + k]) * right[k * 8 + 2 * t + i % 2];
    sums[i] = float(sum);
  }
  warp_barrier(line);
}

// Threads that poll let the others go on.
static void poll() {
  polls++;
  leave(State::ready);
}

int atomic_cas(int *at, int expected, int value) {
  const int old = *at;
  if (old == expected) *at = value;
  poll();
  return old;
}

int atomic_add(int *at, int value) {
  const int old = *at;
  *at = int(unsigned(old) + unsigned(value));
  poll();
  return old;
}

float atomic_add(float *at, float value) {
  const float old = *at;
  *at = old + value;
  poll();
  return old;
}

int atomic_max(int *at, int value) {
  const int old = *at;
  if (value > old) *at = value;
  poll();
  return old;
}

int atomic_exchange(int *at, int value) {
  const int old = *at;
  *at = value;
  poll();
  return old;
}

void misaligned(const void *, unsigned long bytes) {
  stop("it moves a vector at an address that is no multiple of %lu bytes", bytes);
}

}  // namespace kiln_emulation

using namespace kiln_emulation;

// The kernels of the library: lists that end in null, and a null at the end of the lists. The generated half defines it.
extern const kernel *const kiln_emulated_units[];

namespace {

const kernel *find(const char *name) {
  for (const kernel *const *unit = kiln_emulated_units; *unit != nullptr; unit++)
    for (const kernel *each = *unit; each->name != nullptr; each++)
      if (strcmp(each->name, name) == 0) return each;
  return nullptr;
}

}  // namespace

extern "C" {
// Runs a kernel. `order`: of the threads of a block: 0 ascending, 1 descending, 2 shuffled. Gives 0 if all went well.
__attribute__((visibility("default"))) int kiln_emulated_launch(const char *name, unsigned groups, unsigned threads,
                                                                 void **pointers, int order) {
  failed = true;
  snprintf(message, sizeof message, "there is no kernel %s", name);
  const kernel *found = find(name);
  if (found == nullptr) return 1;
  failed = false;
  kernel_name = name;
  body = found->run;
  arguments = pointers;
  thread_count = int(threads);
  gridDim = {groups, 1, 1};
  blockDim = {threads, 1, 1};
  threadIdx = {0, 0, 0};
  fibers.assign(threads, Fiber{nullptr, nullptr, State::fresh, 0});
  brought.assign(threads, 0);
  tiles_a.resize((threads + 31) / 32 * 256);
  tiles_b.resize((threads + 31) / 32 * 128);
  polls = 0;
  for (unsigned block = 0; block < groups && !failed; block++) {
    blockIdx = {block, 0, 0};
    if (block == 0 || order == 2) order_threads(order);
    run_block();
  }
  if (checks_races) {
    for (size_t i = regions.size(); i-- > 0;)
      if (regions[i].shared) regions.erase(regions.begin() + long(i));
  }
  return failed;
}

// What went wrong in the last launch.
__attribute__((visibility("default"))) const char *kiln_emulated_error() { return message; }

// Where a launch is, for a watchdog.
__attribute__((visibility("default"))) void kiln_emulated_where(char *text, size_t bytes) {
  snprintf(text, bytes, "%s, block %u, thread %d", kernel_name, blockIdx.x, current);
}

// Looks for races in the buffers, from now on, and for accesses to them outside of the places of the launch.
__attribute__((visibility("default"))) void kiln_emulated_watch(unsigned buffers, char **begins, char **ends,
                                                                unsigned bindings, char **first, char **last) {
  checks_races = true;
  regions.clear();
  places.clear();
  for (unsigned i = 0; i < buffers; i++)
    regions.push_back({begins[i], ends[i], std::vector<Mark>(size_t(ends[i] - begins[i])), false});
  for (unsigned i = 0; i < bindings; i++) places.push_back({first[i], last[i]});
}

// What code compiled with -fsanitize=thread calls at each access.
#define KILN_ACCESS(bytes) \
  __attribute__((visibility("default"))) void __tsan_read##bytes(void *at) { touch((char *)at, bytes, false); } \
  __attribute__((visibility("default"))) void __tsan_write##bytes(void *at) { touch((char *)at, bytes, true); } \
  __attribute__((visibility("default"))) void __tsan_unaligned_read##bytes(void *at) { touch((char *)at, bytes, false); } \
  __attribute__((visibility("default"))) void __tsan_unaligned_write##bytes(void *at) { touch((char *)at, bytes, true); }
KILN_ACCESS(1)
KILN_ACCESS(2)
KILN_ACCESS(4)
KILN_ACCESS(8)
KILN_ACCESS(16)
void __tsan_read_range(void *at, unsigned long bytes) { touch((char *)at, bytes, false); }
void __tsan_write_range(void *at, unsigned long bytes) { touch((char *)at, bytes, true); }
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
}
