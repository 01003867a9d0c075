// A piece of memory that programs work in: zeroed, aligned to at least 64 bytes, and followed by 128 bytes that may be
// read, so that a vector load at the end of a region never leaves it. Large regions ask for huge pages and are touched
// only when used.
#ifndef KILN_REGION_H
#define KILN_REGION_H

#include <cstddef>

#include "failure.h"

namespace kiln {

class Region {
 public:
  static constexpr std::size_t alignment = 64;
  static constexpr std::size_t slack = 128;

  static Result<Region> allocate(std::size_t bytes);

  Region(Region &&other) noexcept;
  Region &operator=(Region &&other) noexcept;
  ~Region();

  void *data() const { return data_; }

 private:
  Region(void *data, void *mapping, std::size_t mapped) : data_(data), mapping_(mapping), mapped_(mapped) {}

  void *data_;
  // What to give back: a mapping of `mapped_` bytes, or, if that is 0, the block at `data_`.
  void *mapping_;
  std::size_t mapped_;
};

}  // namespace kiln

#endif
