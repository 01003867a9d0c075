// Threads that run a program's phases together, all doing the same on their share of the work: the caller is thread 0,
// the others stand by for as long as the team lives. All threads finish a phase before any begins the next one.
#ifndef KILN_TEAM_H
#define KILN_TEAM_H

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "failure.h"
#include "job.h"
#include "program.h"
#include "signal-word.h"
#include "thread-policy.h"

namespace kiln {

class Team {
 public:
  Team() = default;
  ~Team();
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;

  // Runs the steps of a job; the number done, which is smaller only if the job was stopped.
  Result<long> run(const kiln_entry &entry, const Job &job, ThreadPolicy &policy);

 private:
  struct alignas(64) Member {
    // The number of the last stretch of steps this member was called to.
    SignalWord call;
    // Time spent waiting for others during the step under way; read by thread 0 between two barriers. Written only when
    // it changes, so that thread 0 finds it in its cache.
    Nanoseconds waited = 0;
    std::vector<void *> buffers;
    std::thread thread;
  };

  // Steps that run with the same number of threads. Written by thread 0 before it calls the others.
  struct Stretch {
    const kiln_entry *entry = nullptr;
    const Job *job = nullptr;
    long threads = 1;
    long first = 0;
    int number = 0;
    int generation = 0;
  };

  Result<bool> grow(std::size_t members);
  void stand(Member &self, long thread, int seen);
  void follow(Member &self, long thread);
  long lead(ThreadPolicy &policy);
  // Has thread 0 wait for the others at a barrier, without letting them go on.
  void gather(long threads);
  void prepare(Member &member, long first);
  void advance(Member &member);

  std::vector<std::unique_ptr<Member>> members_;
  Stretch stretch_;
  int calls_ = 0;
  // Number of the last stretch that is finished. Since it only grows, a member that was interrupted on its way out of a
  // stretch still sees that its own is over, however far the others have come.
  std::atomic<int> finished_{0};
  bool quit_ = false;
  SignalWord arrived_;
  SignalWord released_;
};

}  // namespace kiln

#endif
