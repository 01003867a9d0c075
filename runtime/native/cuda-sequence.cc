#include "cuda-sequence.h"

#include <algorithm>
#include <set>
#include <utility>

namespace kiln::cuda {

namespace {

// Nodes of the largest graph: enough that a launch costs each step next to nothing, few enough that making it takes
// milliseconds and a run can be stopped within milliseconds.
constexpr std::size_t mostNodes = 1024;
constexpr long mostSteps = 64;

long largestWindow(std::size_t launches) {
  long steps = 1;
  while (steps < mostSteps && static_cast<std::size_t>(2 * steps) * launches <= mostNodes) steps *= 2;
  return steps;
}

bool moves(const Launch &launch) {
  return std::any_of(launch.bindings.begin(), launch.bindings.end(), [](const Binding &b) { return b.stride != 0; });
}

// Parameters of a launch in step `step`, in the form the driver reads them.
class Parameters {
 public:
  Parameters(const Launch &launch, long step) {
    addresses_.reserve(launch.bindings.size());
    for (const Binding &binding : launch.bindings) {
      addresses_.push_back(binding.memory->address() + binding.offset + binding.stride * static_cast<std::size_t>(step));
      pointers_.push_back(&addresses_.back());
    }
    node_ = {launch.kernel.function, launch.groups, 1, 1, launch.kernel.threads, 1, 1, launch.kernel.dynamicBytes,
             pointers_.data(), nullptr};
  }
  Parameters(const Parameters &) = delete;
  Parameters &operator=(const Parameters &) = delete;
  const KernelNodeParams *node() const { return &node_; }

 private:
  std::vector<CUdeviceptr> addresses_;
  std::vector<void *> pointers_;
  KernelNodeParams node_;
};

// What the launches of a window touch, such that the order found for it holds wherever the window begins.
class Ranges {
 public:
  explicit Ranges(const std::vector<Launch> &launches) {
    std::map<const Memory *, std::set<std::size_t>> strides;
    for (const Launch &launch : launches)
      for (const Binding &binding : launch.bindings) {
        strides[binding.memory.get()].insert(binding.stride);
        if (binding.writes) written_.insert(binding.memory.get());
      }
    // Bindings that move alike keep their distance; where they do not, a moving one may come to lie anywhere behind.
    for (const auto &[memory, all] : strides)
      if (all.size() > 1) mixed_.insert(memory);
  }

  std::vector<LaunchOrder::Range> of(const Launch &launch, long step) const {
    std::vector<LaunchOrder::Range> ranges;
    for (const Binding &binding : launch.bindings) {
      const Memory *memory = binding.memory.get();
      // Reads alone are never in conflict.
      if (!written_.contains(memory)) continue;
      if (binding.stride != 0 && mixed_.contains(memory)) {
        ranges.push_back({memory, binding.offset, memory->bytes(), binding.writes});
      } else {
        const std::size_t begin = binding.offset + binding.stride * static_cast<std::size_t>(step);
        ranges.push_back({memory, begin, begin + binding.bytes, binding.writes});
      }
    }
    return ranges;
  }

 private:
  std::set<const Memory *> written_, mixed_;
};

}  // namespace

Result<std::unique_ptr<Window>> Window::make(std::shared_ptr<Device> device, const std::vector<Launch> &launches,
                                             long steps) {
  std::unique_ptr<Window> window(new Window(std::move(device), steps));
  if (auto failure = window->build(launches)) return *failure;
  return window;
}

Window::~Window() {
  if (exec_ != nullptr) device_->release(device_->driver().cuGraphExecDestroy, exec_);
  if (graph_ != nullptr) device_->release(device_->driver().cuGraphDestroy, graph_);
}

std::optional<Failure> Window::build(const std::vector<Launch> &launches) {
  const Driver &driver = device_->driver();
  if (auto failure = device_->call(driver.cuGraphCreate, &graph_, 0u)) return failure;
  const Ranges ranges(launches);
  LaunchOrder order;
  std::vector<CUgraphNode> nodes, dependencies;
  for (long step = 0; step < steps_; step++)
    for (std::size_t i = 0; i < launches.size(); i++) {
      dependencies.clear();
      for (const std::size_t earlier : order.add(ranges.of(launches[i], step))) dependencies.push_back(nodes[earlier]);
      const Parameters parameters(launches[i], step);
      CUgraphNode node = nullptr;
      if (auto failure = device_->call(driver.cuGraphAddKernelNode, &node, graph_, std::as_const(dependencies).data(),
                                       dependencies.size(), parameters.node()))
        return failure;
      nodes.push_back(node);
      if (moves(launches[i])) moving_.push_back({step, i, node});
    }
  return device_->call(driver.cuGraphInstantiateWithFlags, &exec_, graph_, 0ull);
}

std::optional<Failure> Window::moveTo(const std::vector<Launch> &launches, long first) {
  if (first == first_) return std::nullopt;
  first_ = -1;
  for (const Moving &each : moving_) {
    const Parameters parameters(launches[each.launch], first + each.step);
    if (auto failure = device_->call(device_->driver().cuGraphExecKernelNodeSetParams, exec_, each.node,
                                     parameters.node()))
      return failure;
  }
  first_ = first;
  return std::nullopt;
}

std::optional<Failure> Window::launch(const std::vector<Launch> &launches, long first) {
  // Launches that are queued or running keep the parameters they were queued with.
  if (auto failure = moveTo(launches, first)) return failure;
  return device_->call(device_->driver().cuGraphLaunch, exec_, device_->stream());
}

Result<std::shared_ptr<Sequence>> Sequence::make(std::shared_ptr<Device> device, std::shared_ptr<Module> module,
                                                 std::vector<Launch> launches) {
  if (auto why = device->lost()) return *why;
  std::shared_ptr<Sequence> sequence(new Sequence(std::move(device), std::move(module), std::move(launches)));
  if (auto first = sequence->window(1); !first.ok()) return first.failure();
  return sequence;
}

Result<Window *> Sequence::window(long steps) {
  auto &window = windows_[steps];
  if (!window) {
    auto made = Window::make(device_, launches_, steps);
    if (!made.ok()) return made.failure();
    window = std::move(made.value());
  }
  return window.get();
}

Result<long> Sequence::run(long steps, long since, const std::function<bool()> &quit) {
  if (auto why = device_->lost()) return *why;
  const Driver &driver = device_->driver();
  const long largest = largestWindow(launches_.size());
  long queued = 0;
  for (std::size_t turn = 0; queued < steps && stops() == since && !quit(); turn++) {
    long size = largest;
    while (size > steps - queued) size /= 2;
    auto next = window(size);
    // Steps that are queued already have changed memory, or will: what is there now is no step's result.
    if (!next.ok()) return queued == 0 ? next.failure() : device_->lose(next.failure());
    if (auto failure = next.value()->launch(launches_, queued))
      return queued == 0 ? *failure : device_->lose(*failure);
    queued += size;
    // Two launches are queued at most, so that the GPU is never idle and `stop` takes effect soon.
    if (auto failure = device_->call(driver.cuEventRecord, device_->event(turn), device_->stream()))
      return device_->lose(*failure);
    if (turn > 0)
      if (auto failure = device_->call(driver.cuEventSynchronize, device_->event(turn - 1)))
        return device_->lose(*failure);
  }
  if (auto failure = device_->finish()) return *failure;
  return queued;
}

}  // namespace kiln::cuda
