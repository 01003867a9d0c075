// One call of an entry for a number of steps.
#ifndef KILN_JOB_H
#define KILN_JOB_H

#include <atomic>
#include <cstddef>
#include <vector>

namespace kiln {

struct Job {
  // Index of the entry in its program.
  std::size_t entry = 0;
  long steps = 0;
  // Threads to use at most.
  long threads = 1;
  // Address of each buffer at the first step, and by how many bytes it moves from one step to the next.
  std::vector<std::byte *> buffers;
  std::vector<std::size_t> strides;
  // Set from any thread: end after the step that is under way.
  std::atomic<bool> stop{false};
};

}  // namespace kiln

#endif
