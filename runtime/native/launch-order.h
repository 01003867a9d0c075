// Which launches must wait for which: those that touch the same bytes of a memory, if one of the two writes them. Launches
// are added in the order a single queue would run them in; each gets the fewest earlier ones that make any order of the
// rest give the same result.
#ifndef KILN_LAUNCH_ORDER_H
#define KILN_LAUNCH_ORDER_H

#include <cstddef>
#include <map>
#include <vector>

namespace kiln {

class LaunchOrder {
 public:
  // Bytes [begin, end) of a memory; memories are told apart by their address on the host.
  struct Range {
    const void *memory;
    std::size_t begin, end;
    bool writes;
  };

  // The earlier launches, by number, that a further launch must wait for.
  std::vector<std::size_t> add(const std::vector<Range> &ranges);

 private:
  struct Access {
    std::size_t launch, begin, end;
    bool writes;
  };

  // What later launches can still be in conflict with: an access that a later write covers is reached through that write.
  std::map<const void *, std::vector<Access>> accesses_;
  // For each launch, which ones come before it, itself included.
  std::vector<std::vector<bool>> before_;
};

}  // namespace kiln

#endif
