#include "thread-policy.h"

#include <algorithm>

namespace kiln {

namespace {

// A window must outlast a time slice of the scheduler (3-4 ms): shorter ones see either none or nothing but the theft.
constexpr Nanoseconds watchWindow = 8'000'000;
constexpr Nanoseconds measureWindow = 4'000'000;
constexpr long fewestSteps = 3;
// A trial must win by this much, so that noise does not cost threads.
constexpr double worthwhile = 0.85;

}  // namespace

void ThreadPolicy::change(State state, long threads) {
  state_ = state;
  skip_ = threads > current_ ? 1 : 0;
  current_ = threads;
  steps_ = 0;
  elapsed_ = 0;
  waited_ = 0;
}

void ThreadPolicy::record(Nanoseconds end, Nanoseconds elapsed, Nanoseconds waited) {
  if (most_ == 1) return;
  if (trialFrom_ == 0) trialFrom_ = end + settling;
  if (skip_ > 0) {
    skip_--;
    return;
  }
  steps_++;
  elapsed_ += elapsed;
  waited_ += waited;
  const double mean = static_cast<double>(elapsed_) / static_cast<double>(steps_);
  const bool measured = steps_ >= fewestSteps && elapsed_ >= measureWindow;
  switch (state_) {
    case State::trial:
      if (measured) judgeTrial(end, mean);
      return;
    case State::retry:
      // A full number that is far worse need not be measured to the end.
      if (measured || (elapsed_ >= measureWindow && mean > 4 * reference_)) judgeRetry(end, mean);
      return;
    case State::steady:
      if (current_ < most_ && end >= retryAt_) {
        if (!measured) return;
        reference_ = mean;
        referenceThreads_ = current_;
        change(State::retry, most_);
      } else if (steps_ >= fewestSteps && elapsed_ >= watchWindow) {
        if (current_ > 1 && waited_ > elapsed_ / 2 && end >= trialFrom_) {
          reference_ = mean;
          referenceThreads_ = current_;
          change(State::trial, current_ - 1);
        } else {
          change(State::steady, current_);
        }
      }
      return;
  }
}

void ThreadPolicy::judgeTrial(Nanoseconds end, double mean) {
  if (mean < worthwhile * reference_) {
    retryAt_ = end + retryAfter;
    backOff_ = retryAfter;
    change(State::steady, current_);
    return;
  }
  // The waits are part of the program: leave it alone for longer and longer.
  trialFrom_ = end + backOff_;
  backOff_ = std::min(2 * backOff_, longestBackOff);
  change(State::steady, referenceThreads_);
}

void ThreadPolicy::judgeRetry(Nanoseconds end, double mean) {
  if (mean < reference_) {
    change(State::steady, current_);
    return;
  }
  retryAt_ = end + retryAfter;
  change(State::steady, referenceThreads_);
}

}  // namespace kiln
