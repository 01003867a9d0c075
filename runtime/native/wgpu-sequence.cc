#include "wgpu-sequence.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "signal-word.h"

namespace kiln {

namespace {

// How long a submission should take, in nanoseconds: long against what one costs, short against a person's patience.
constexpr Nanoseconds target = 10'000'000;

// Most dispatches of a submission.
constexpr long mostDispatches = 8192;

// Steps whose bind groups are kept, for launches whose bindings move.
constexpr long keptSteps = 512;

// Work-groups along one dimension of a dispatch, at most; WebGPU promises no more.
constexpr std::uint64_t mostGroups = 65535;

Result<BindGroupHandle> groupAt(WgpuDevice &device, const Launch &launch, long step) {
  std::vector<WGPUBindGroupEntry> entries(launch.ranges.size());
  for (std::size_t i = 0; i < entries.size(); i++) {
    const BoundRange &range = launch.ranges[i];
    entries[i].binding = static_cast<std::uint32_t>(i);
    entries[i].buffer = range.buffer->get();
    entries[i].offset = range.offset + range.stride * static_cast<std::uint64_t>(step);
    entries[i].size = range.bytes;
  }
  return makeBindGroup(device, *launch.pipeline, entries);
}

struct Flying {
  WGPUSubmissionIndex index;
  long steps;
  Nanoseconds sent;
};

}  // namespace

WgpuSequence::WgpuSequence(std::vector<Launch> launches) {
  for (Launch &launch : launches) {
    const bool moves = std::ranges::any_of(launch.ranges, [](const BoundRange &range) { return range.stride != 0; });
    launches_.push_back({std::move(launch), moves, {}});
  }
}

Result<bool> WgpuSequence::prepare(WgpuDevice &device, long first, long steps) {
  passing_.clear();
  for (std::size_t i = 0; i < launches_.size(); i++) {
    PreparedLaunch &prepared = launches_[i];
    const long end = prepared.moves ? first + steps : 1;
    while (static_cast<long>(prepared.groups.size()) < std::min(end, keptSteps)) {
      auto made = groupAt(device, prepared.launch, static_cast<long>(prepared.groups.size()));
      if (!made.ok()) return made.failure();
      prepared.groups.push_back(std::move(made.value()));
    }
    for (long step = std::max(first, keptSteps); step < end; step++) {
      auto made = groupAt(device, prepared.launch, step);
      if (!made.ok()) return made.failure();
      passing_.emplace(static_cast<std::uint64_t>(step) * launches_.size() + i, std::move(made.value()));
    }
  }
  return true;
}

Result<WGPUSubmissionIndex> WgpuSequence::send(WgpuDevice &device, long first, long steps) {
  if (auto ready = prepare(device, first, steps); !ready.ok()) return ready.failure();
  const WgpuApi &api = device.api();
  return device.submit("run", [&](WGPUCommandEncoder encoder) {
    const ComputePassHandle pass(api, api.CommandEncoderBeginComputePass(encoder, nullptr));
    for (long step = first; step < first + steps; step++) {
      for (std::size_t i = 0; i < launches_.size(); i++) {
        const PreparedLaunch &each = launches_[i];
        const std::size_t kept = each.moves ? static_cast<std::size_t>(step) : 0;
        const BindGroupHandle &group = kept < each.groups.size()
                                           ? each.groups[kept]
                                           : passing_.at(static_cast<std::uint64_t>(step) * launches_.size() + i);
        const std::uint64_t x = std::min(each.launch.groups, mostGroups);
        api.ComputePassEncoderSetPipeline(pass.get(), each.launch.pipeline->pipeline.get());
        api.ComputePassEncoderSetBindGroup(pass.get(), 0, group.get(), 0, nullptr);
        api.ComputePassEncoderDispatchWorkgroups(pass.get(), static_cast<std::uint32_t>(x),
                                                 static_cast<std::uint32_t>((each.launch.groups + x - 1) / x), 1);
      }
    }
    api.ComputePassEncoderEnd(pass.get());
  });
}

Result<long> WgpuSequence::run(WgpuDevice &device, long steps, std::uint64_t since,
                               const std::function<bool()> &quit) {
  const long most = std::max(1L, mostDispatches / std::max(1L, static_cast<long>(launches_.size())));
  std::deque<Flying> flying;
  long sent = 0, done = 0;
  Nanoseconds last = 0;
  for (;;) {
    while (sent < steps && flying.size() < 2 && stops() == since && !quit()) {
      const long next = std::min({chunk_, most, steps - sent});
      const Nanoseconds begun = now();
      auto index = send(device, sent, next);
      if (!index.ok()) return index.failure();
      flying.push_back({index.value(), next, begun});
      sent += next;
    }
    if (flying.empty()) return done;
    const Flying first = flying.front();
    flying.pop_front();
    if (auto waited = device.wait("run", &first.index); !waited.ok()) return waited.failure();
    const Nanoseconds over = now(), took = over - std::max(first.sent, last);
    last = over;
    done += first.steps;
    const auto fitting = static_cast<long>(static_cast<double>(target) * static_cast<double>(first.steps) /
                                           static_cast<double>(std::max<Nanoseconds>(took, 1)));
    // Slowly up, since the first submissions tell little; down at once.
    chunk_ = std::clamp(fitting, 1L, std::max(chunk_, first.steps * 4));
  }
}

}  // namespace kiln
