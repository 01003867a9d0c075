// The thread that runs jobs, one at a time and in the order they came, so that JavaScript never waits for a step. A job
// can also run on the calling thread, once those before it are done.
#ifndef KILN_RUNNER_H
#define KILN_RUNNER_H

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "device.h"

namespace kiln {

struct Task {
  std::shared_ptr<Executable> executable;
  Job job;
  // Called on the runner's thread when the job is over.
  std::function<void(Result<long>)> done;
};

class Runner {
 public:
  Runner() = default;
  ~Runner() { shutDown(); }
  Runner(const Runner &) = delete;
  Runner &operator=(const Runner &) = delete;

  // Queues a task; a failure if there is no thread to run it on.
  Result<bool> submit(std::shared_ptr<Task> task);

  // Runs a job on the calling thread after all tasks that were queued before.
  Result<long> runHere(Executable &executable, const Job &job);

  // Has the queued and running jobs of a program end after the step that is under way.
  void stop(const Executable &executable);

  // Stops all jobs and ends the thread. Tasks that had not begun are dropped.
  void shutDown();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable queued_;
  std::condition_variable idle_;
  // The task in front is the one that is running.
  std::deque<std::shared_ptr<Task>> tasks_;
  bool quit_ = false;
  std::thread thread_;
};

}  // namespace kiln

#endif
