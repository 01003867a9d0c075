#include "launch-order.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace kiln {

std::vector<std::size_t> LaunchOrder::add(const std::vector<Range> &ranges) {
  const std::size_t launch = before_.size();
  std::vector<std::size_t> conflicts;
  for (const Range &range : ranges)
    for (const Access &access : accesses_[range.memory])
      if ((range.writes || access.writes) && range.begin < access.end && access.begin < range.end)
        conflicts.push_back(access.launch);
  // The latest first: what comes before one of those need not be named again.
  std::sort(conflicts.begin(), conflicts.end(), std::greater<>());
  std::vector<bool> before(launch + 1);
  std::vector<std::size_t> direct;
  for (const std::size_t earlier : conflicts) {
    if (before[earlier]) continue;
    direct.push_back(earlier);
    for (std::size_t i = 0; i <= earlier; i++)
      if (before_[earlier][i]) before[i] = true;
  }
  before[launch] = true;
  before_.push_back(std::move(before));
  for (const Range &range : ranges)
    if (range.writes)
      std::erase_if(accesses_[range.memory], [&](const Access &access) {
        return range.begin <= access.begin && access.end <= range.end;
      });
  for (const Range &range : ranges)
    accesses_[range.memory].push_back({launch, range.begin, range.end, range.writes});
  return direct;
}

}  // namespace kiln
