#include "signal-word.h"

#include <algorithm>

namespace kiln {

namespace {

int measurePauses() {
  constexpr Nanoseconds spin = 2'000;
  constexpr int sample = 64;
  // The shortest of several samples, since any of them may have been interrupted.
  Nanoseconds shortest = spin * sample;
  for (int repeat = 0; repeat < 8; repeat++) {
    const Nanoseconds start = now();
    for (int i = 0; i < sample; i++) pauseCore();
    shortest = std::min(shortest, now() - start);
  }
  return static_cast<int>(std::clamp<Nanoseconds>(spin * sample / std::max<Nanoseconds>(shortest, 1), 8, 4'000));
}

}  // namespace

int pausesPerSpin() {
  static const int pauses = measurePauses();
  return pauses;
}

}  // namespace kiln
