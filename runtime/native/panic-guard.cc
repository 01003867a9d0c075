#include "panic-guard.h"

#ifdef _WIN32

namespace kiln {

// Windows has no signal to catch: a panic ends the process.
bool survives(void (*call)(void *), void *argument) {
  call(argument);
  return true;
}

}  // namespace kiln

#else

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <mutex>

namespace kiln {

namespace {

// A thread inside a guarded call, and the way out of it. Not thread-local, since the first use of such a variable in a
// thread takes memory, which a handler must not.
struct GuardedThread {
  std::atomic<bool> taken{false};
  std::atomic<bool> armed{false};
  pthread_t thread;
  sigjmp_buf out;
};

// As many as there may be calls at once; a call that finds no place is made without a guard.
std::array<GuardedThread, 64> guarded;

struct sigaction before;

void onAbort(int number, siginfo_t *info, void *context) {
  for (GuardedThread &each : guarded)
    if (each.armed.load(std::memory_order_acquire) && pthread_equal(each.thread, pthread_self()) != 0)
      siglongjmp(each.out, 1);
  if ((before.sa_flags & SA_SIGINFO) != 0)
    before.sa_sigaction(number, info, context);
  else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
    before.sa_handler(number);
  // Where nobody else wanted to know, `abort` ends the process when this returns.
}

void install() {
  struct sigaction action {};
  action.sa_sigaction = onAbort;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGABRT, &action, &before);
}

GuardedThread *takePlace() {
  for (GuardedThread &each : guarded)
    if (!each.taken.exchange(true, std::memory_order_acquire)) return &each;
  return nullptr;
}

}  // namespace

bool survives(void (*call)(void *), void *argument) {
  static std::once_flag once;
  std::call_once(once, install);
  GuardedThread *place = takePlace();
  if (place == nullptr) {
    call(argument);
    return true;
  }
  place->thread = pthread_self();
  // With the mask of signals, since the handler runs with its own signal held back.
  const bool returned = sigsetjmp(place->out, 1) == 0;
  if (returned) {
    place->armed.store(true, std::memory_order_release);
    call(argument);
  }
  place->armed.store(false, std::memory_order_release);
  place->taken.store(false, std::memory_order_release);
  return returned;
}

}  // namespace kiln

#endif
