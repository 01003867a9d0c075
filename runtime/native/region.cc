#include "region.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace kiln {

namespace {

constexpr std::size_t hugePage = std::size_t{2} << 20;
constexpr std::size_t mapFrom = std::size_t{4} << 20;

}  // namespace

Result<Region> Region::allocate(std::size_t bytes) {
  if (bytes > SIZE_MAX / 2) return systemFailure("mmap", ENOMEM);
  if (bytes < mapFrom) {
    // A multiple of the alignment, as `aligned_alloc` demands.
    const std::size_t size = (bytes + slack + alignment - 1) / alignment * alignment;
    void *data = std::aligned_alloc(alignment, size);
    if (data == nullptr) return systemFailure("aligned_alloc", ENOMEM);
    std::memset(data, 0, size);
    return Region(data, nullptr, 0);
  }
  const std::size_t mapped = bytes + slack + hugePage;
  void *mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return systemFailure("mmap", errno);
  const std::uintptr_t start = (reinterpret_cast<std::uintptr_t>(mapping) + hugePage - 1) / hugePage * hugePage;
  void *data = reinterpret_cast<void *>(start);
#ifdef MADV_HUGEPAGE
  // Advice only: a kernel without huge pages gives small ones.
  madvise(data, bytes + slack, MADV_HUGEPAGE);
#endif
  return Region(data, mapping, mapped);
}

Region::Region(Region &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapped_(std::exchange(other.mapped_, 0)) {}

Region &Region::operator=(Region &&other) noexcept {
  std::swap(data_, other.data_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

Region::~Region() {
  if (mapped_ != 0)
    munmap(mapping_, mapped_);
  else
    std::free(data_);
}

}  // namespace kiln
