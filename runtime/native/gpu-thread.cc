#include "gpu-thread.h"

#include <set>
#include <system_error>
#include <utility>

namespace kiln {

namespace {

// All that there are. Never destroyed, since it is needed to the last.
struct LiveThreads {
  std::mutex mutex;
  std::set<GpuThread *> threads;
};

LiveThreads &live() {
  static auto &all = *new LiveThreads;
  return all;
}

}  // namespace

GpuThread::GpuThread() {
  std::lock_guard lock(live().mutex);
  live().threads.insert(this);
}

GpuThread::~GpuThread() {
  shutDown();
  std::lock_guard lock(live().mutex);
  live().threads.erase(this);
}

void GpuThread::endAll() {
  std::lock_guard lock(live().mutex);
  for (GpuThread *thread : live().threads) thread->end();
}

Result<bool> GpuThread::post(Job job) {
  {
    std::lock_guard lock(mutex_);
    if (quitting()) return Failure{"closed", "the device is shut down"};
    if (!thread_.joinable()) {
      try {
        thread_ = std::thread([this] { work(); });
      } catch (const std::system_error &error) {
        return Failure{"std::thread", error.what()};
      }
    }
    jobs_.push_back(std::move(job));
  }
  queued_.notify_one();
  return true;
}

Result<bool> GpuThread::postAndWait(const Job &job) {
  std::mutex mutex;
  std::condition_variable over;
  bool done = false;
  auto queued = post([&] {
    job();
    std::lock_guard lock(mutex);
    done = true;
    // Under the lock: the waiting thread destroys both as soon as it has it.
    over.notify_one();
  });
  if (!queued.ok()) return queued;
  std::unique_lock lock(mutex);
  over.wait(lock, [&] { return done; });
  return true;
}

void GpuThread::end() {
  {
    std::lock_guard lock(mutex_);
    quit_.store(true, std::memory_order_relaxed);
  }
  queued_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void GpuThread::shutDown() {
  end();
  jobs_.clear();
}

void GpuThread::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    queued_.wait(lock, [this] { return quitting() || !jobs_.empty(); });
    if (quitting()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    // What a job held goes before the next one begins.
    job = nullptr;
    lock.lock();
  }
}

}  // namespace kiln
