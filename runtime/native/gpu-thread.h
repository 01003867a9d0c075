// The one thread that talks to a GPU: jobs run on it one after another, in the order they came, so that JavaScript never
// waits for the driver. Whoever needs an answer at once waits for a job of its own.
#ifndef KILN_GPU_THREAD_H
#define KILN_GPU_THREAD_H

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "failure.h"

namespace kiln {

class GpuThread {
 public:
  using Job = std::function<void()>;

  GpuThread();
  ~GpuThread();
  GpuThread(const GpuThread &) = delete;
  GpuThread &operator=(const GpuThread &) = delete;

  // Queues a job; a failure if there is no thread to run it on. Called by the thread that owns this object, only.
  Result<bool> post(Job job);

  // Runs a job after all that were queued before and waits for its end.
  Result<bool> postAndWait(const Job &job);

  // Whether jobs should come to an end; for long ones to ask.
  bool quitting() const { return quit_.load(std::memory_order_relaxed); }

  // Ends the threads of all devices of the process, and leaves the jobs to their owners. For the end of
  // a process by `exit`: it takes the drivers' libraries down and destroys nothing of ours before.
  static void endAll();

  // Ends the thread after the job that is running; nothing can be queued from then on.
  void end();

  // The same, and drops jobs that had not begun: the caller, to which belongs what they hold of JavaScript, destroys them.
  void shutDown();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable queued_;
  std::deque<Job> jobs_;
  std::atomic<bool> quit_{false};
  std::thread thread_;
};

}  // namespace kiln

#endif
