// How many threads a step should use. All that were asked for, unless another program has taken a core away: then every
// barrier waits for the thread that lost its core, and a step on fewer threads is the faster one. Nothing is assumed about
// which steps are worth how many threads: a smaller number is kept only while steps measure faster with it, and the full
// number is tried again every tenth of a second. Results of programs do not depend on the number of threads.
#ifndef KILN_THREAD_POLICY_H
#define KILN_THREAD_POLICY_H

#include "signal-word.h"

namespace kiln {

class ThreadPolicy {
 public:
  explicit ThreadPolicy(long most) : most_(most), current_(most) {}

  long most() const { return most_; }
  // Threads for the next step.
  long threads() const { return current_; }

  // Reports a step: when it ended, how long it took and the longest time that one of its threads waited for the others.
  void record(Nanoseconds end, Nanoseconds elapsed, Nanoseconds waited);

 private:
  enum class State {
    // Running as decided; watching for waits that dominate.
    steady,
    // Measuring one thread fewer.
    trial,
    // Measuring the full number again.
    retry,
  };

  void change(State state, long threads);
  void judgeTrial(Nanoseconds end, double mean);
  void judgeRetry(Nanoseconds end, double mean);

  long most_;
  long current_;
  State state_ = State::steady;
  // The window being measured. Steps just after a change are left out: threads that slept are still waking up.
  int skip_ = 0;
  long steps_ = 0;
  Nanoseconds elapsed_ = 0;
  Nanoseconds waited_ = 0;
  // Mean time of a step with the number of threads to compare with, and that number.
  double reference_ = 0;
  long referenceThreads_ = 0;
  // When to try the full number again, and before when to try no smaller one.
  Nanoseconds retryAt_ = 0;
  Nanoseconds trialFrom_ = 0;
  Nanoseconds backOff_ = retryAfter;

  // New threads take some milliseconds until each has a core of its own.
  static constexpr Nanoseconds settling = 20'000'000;
  static constexpr Nanoseconds retryAfter = 100'000'000;
  static constexpr Nanoseconds longestBackOff = 1'600'000'000;
};

}  // namespace kiln

#endif
