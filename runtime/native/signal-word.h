// A number that one thread sets and others wait for: they spin for about two microseconds, then offer their core to
// others between looks, and after some idle milliseconds sleep until they are woken. Spinning keeps a barrier under
// 100 ns, yielding keeps it bearable when threads share a core, sleeping keeps an idle program from costing anything.
#ifndef KILN_SIGNAL_WORD_H
#define KILN_SIGNAL_WORD_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace kiln {

using Nanoseconds = std::int64_t;

inline Nanoseconds now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Tells the core that this is a waiting loop.
inline void pauseCore() {
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

// How many pauses make up about two microseconds on this machine; measured once.
int pausesPerSpin();

class alignas(64) SignalWord {
 public:
  int value() const { return word_.load(std::memory_order_acquire); }

  // Sets the number without waking anyone; for a thread that knows that nobody waits.
  void reset(int value) { word_.store(value, std::memory_order_relaxed); }

  void set(int value) {
    word_.store(value, std::memory_order_seq_cst);
    wake();
  }

  // Adds one; wakes the others if that makes `target`.
  void add(int target) {
    if (word_.fetch_add(1, std::memory_order_seq_cst) + 1 == target) wake();
  }

  // Waits until `done(value())`. Returns how long that took, 0 if it happened while spinning.
  template <class Done>
  Nanoseconds wait(Done done) {
    for (int left = pausesPerSpin(); left > 0; left--) {
      if (done(value())) return 0;
      pauseCore();
    }
    const Nanoseconds start = now();
    for (;;) {
      if (done(value())) return now() - start;
      if (now() - start > patience) break;
      std::this_thread::yield();
    }
    // The order (announce, look, sleep) against (set, look for sleepers) is what makes a lost wake-up impossible.
    asleep_.fetch_add(1, std::memory_order_seq_cst);
    for (int seen = word_.load(std::memory_order_seq_cst); !done(seen); seen = word_.load(std::memory_order_seq_cst))
      word_.wait(seen, std::memory_order_seq_cst);
    asleep_.fetch_sub(1, std::memory_order_relaxed);
    return now() - start;
  }

 private:
  static constexpr Nanoseconds patience = 4'000'000;

  void wake() {
    if (asleep_.load(std::memory_order_seq_cst) != 0) word_.notify_all();
  }

  std::atomic<int> word_{0};
  std::atomic<int> asleep_{0};
};

}  // namespace kiln

#endif
