// The floating-point control register of the calling thread. Kernels run with denormals flushed to zero, so that a run
// costs the same whatever its values are and gives the same bits on every thread; JavaScript must never see that mode.
#ifndef KILN_FLOAT_MODE_H
#define KILN_FLOAT_MODE_H

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace kiln {

// Remembers the register and restores it at the end of the scope.
class SavedFloatMode {
 public:
  SavedFloatMode() : saved_(read()) {}
  ~SavedFloatMode() { write(saved_); }
  SavedFloatMode(const SavedFloatMode &) = delete;
  SavedFloatMode &operator=(const SavedFloatMode &) = delete;

#if defined(__x86_64__) || defined(_M_X64)
  // MXCSR: flush-to-zero (bit 15), all exceptions masked (bits 7-12), denormals-are-zero (bit 6), round to nearest.
  static constexpr std::uint64_t kernels = 0x8000 | 0x1f80 | 0x0040;
  static std::uint64_t read() { return _mm_getcsr(); }
  static void write(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
  // FPCR: flush-to-zero of operands and results (bit 24), round to nearest, no traps.
  static constexpr std::uint64_t kernels = std::uint64_t{1} << 24;
  static std::uint64_t read() {
    std::uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void write(std::uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr std::uint64_t kernels = 0;
  static std::uint64_t read() { return 0; }
  static void write(std::uint64_t) {}
#endif

 private:
  std::uint64_t saved_;
};

// Sets the mode kernels run in until the end of the scope.
class KernelFloatMode : private SavedFloatMode {
 public:
  KernelFloatMode() { write(kernels); }
};

}  // namespace kiln

#endif
