// The launches of a step, and running them: many steps a submission, as many as take about ten milliseconds, two
// submissions at a time. For the GPU thread, except for `stop`.
#ifndef KILN_WGPU_SEQUENCE_H
#define KILN_WGPU_SEQUENCE_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "wgpu-pipeline.h"

namespace kiln {

// A range of a buffer, moved by `stride` from one step to the next.
struct BoundRange {
  std::shared_ptr<WgpuBuffer> buffer;
  std::uint64_t offset;
  std::uint64_t bytes;
  std::uint64_t stride;
};

struct Launch {
  PipelinePointer pipeline;
  std::uint64_t groups;
  std::vector<BoundRange> ranges;
};

class WgpuSequence {
 public:
  explicit WgpuSequence(std::vector<Launch> launches);

  // Runs steps until `quit` says otherwise; the number done. `since`: what `stops()` was when the run was asked for.
  Result<long> run(WgpuDevice &device, long steps, std::uint64_t since, const std::function<bool()> &quit);

  // Ends the runs that have been asked for after what is under way.
  void stop() { stops_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t stops() const { return stops_.load(std::memory_order_relaxed); }

 private:
  struct PreparedLaunch {
    Launch launch;
    bool moves;
    // By step; those of a launch that does not move serve all.
    std::vector<BindGroupHandle> groups;
  };

  Result<WGPUSubmissionIndex> send(WgpuDevice &device, long first, long steps);
  Result<bool> prepare(WgpuDevice &device, long first, long steps);

  std::vector<PreparedLaunch> launches_;
  // Bind groups of steps beyond those that are kept, for the submission that is being made.
  std::unordered_map<std::uint64_t, BindGroupHandle> passing_;
  std::atomic<std::uint64_t> stops_{0};
  // How many steps are sent at once, from how long they took so far.
  long chunk_ = 1;
};

}  // namespace kiln

#endif
