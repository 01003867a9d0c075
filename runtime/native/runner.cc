#include "runner.h"

#include <system_error>
#include <utility>

namespace kiln {

Result<bool> Runner::submit(std::shared_ptr<Task> task) {
  {
    std::lock_guard lock(mutex_);
    if (!thread_.joinable()) {
      try {
        thread_ = std::thread([this] { work(); });
      } catch (const std::system_error &error) {
        return Failure{"std::thread", error.what()};
      }
    }
    tasks_.push_back(std::move(task));
  }
  queued_.notify_one();
  return true;
}

Result<long> Runner::runHere(Executable &executable, const Job &job) {
  // The lock may be let go: only the thread that is here now queues tasks.
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return tasks_.empty(); });
  }
  return executable.run(job);
}

void Runner::stop(const Executable &executable) {
  std::lock_guard lock(mutex_);
  for (auto &task : tasks_)
    if (task->executable.get() == &executable) task->job.stop.store(true, std::memory_order_relaxed);
}

void Runner::shutDown() {
  {
    std::lock_guard lock(mutex_);
    quit_ = true;
    for (auto &task : tasks_) task->job.stop.store(true, std::memory_order_relaxed);
  }
  queued_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Runner::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    queued_.wait(lock, [this] { return quit_ || !tasks_.empty(); });
    if (quit_) return;
    const std::shared_ptr<Task> task = tasks_.front();
    lock.unlock();
    Result<long> result = task->executable->run(task->job);
    lock.lock();
    // Tasks that nobody will hear of any more are destroyed with the runner, by the thread that made them.
    if (quit_) return;
    tasks_.pop_front();
    if (tasks_.empty()) idle_.notify_all();
    lock.unlock();
    task->done(std::move(result));
    lock.lock();
  }
}

}  // namespace kiln
