// The launches of a step as CUDA graphs that are made once and launched many times.
//
// A graph holds a window of 1, 2, 4, 8 ... steps, each window made when it is first needed. A run of N steps launches the
// largest windows that fit, so that the cost of a launch (some microseconds of a processor, and a gap on the GPU) is shared
// by as many steps as a few graphs can hold. Within a window, launches wait only for those they depend on, across steps
// too. Where a binding moves from step to step, its address is a parameter of its node, written when the graph is made for
// the place the run reaches it at; a run that reaches a window elsewhere sets the parameters of the nodes that move, and of
// no others, before it launches. Runs of the same number of steps thus set none at all: every run begins at step 0.
#ifndef KILN_CUDA_SEQUENCE_H
#define KILN_CUDA_SEQUENCE_H

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "cuda-module.h"
#include "launch-order.h"

namespace kiln::cuda {

struct Binding {
  std::shared_ptr<Memory> memory;
  std::size_t offset, bytes, stride;
  bool writes;
};

struct Launch {
  Kernel kernel;
  unsigned groups;
  std::vector<Binding> bindings;
};

// A graph of some consecutive steps.
class Window {
 public:
  static Result<std::unique_ptr<Window>> make(std::shared_ptr<Device> device, const std::vector<Launch> &launches,
                                              long steps);
  ~Window();
  Window(const Window &) = delete;
  Window &operator=(const Window &) = delete;

  // Queues the steps from `first` on.
  std::optional<Failure> launch(const std::vector<Launch> &launches, long first);

 private:
  Window(std::shared_ptr<Device> device, long steps) : device_(std::move(device)), steps_(steps) {}
  std::optional<Failure> build(const std::vector<Launch> &launches);
  std::optional<Failure> moveTo(const std::vector<Launch> &launches, long first);

  std::shared_ptr<Device> device_;
  long steps_;
  // The step that its parameters are those of; -1 if it has none in common.
  long first_ = 0;
  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
  // Nodes with parameters that change from step to step: which step of the window, which launch.
  struct Moving {
    long step;
    std::size_t launch;
    CUgraphNode node;
  };
  std::vector<Moving> moving_;
};

class Sequence {
 public:
  // Makes the graph of one step, so that what a driver has against the launches is known at once.
  static Result<std::shared_ptr<Sequence>> make(std::shared_ptr<Device> device, std::shared_ptr<Module> module,
                                                std::vector<Launch> launches);

  // On the GPU thread: runs steps and waits for them; the number done. `since` is what `stops()` was when the run was
  // asked for: it ends early once that has changed, or once `quit()` holds.
  Result<long> run(long steps, long since, const std::function<bool()> &quit);

  // On any thread.
  long stops() const { return stops_.load(std::memory_order_relaxed); }
  void stop() { stops_.fetch_add(1, std::memory_order_relaxed); }

 private:
  Sequence(std::shared_ptr<Device> device, std::shared_ptr<Module> module, std::vector<Launch> launches)
      : device_(std::move(device)), module_(std::move(module)), launches_(std::move(launches)) {}
  Result<Window *> window(long steps);

  std::shared_ptr<Device> device_;
  // Kernels live as long as their module.
  std::shared_ptr<Module> module_;
  std::vector<Launch> launches_;
  std::map<long, std::unique_ptr<Window>> windows_;
  std::atomic<long> stops_{0};
};

}  // namespace kiln::cuda

#endif
