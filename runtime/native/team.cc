#include "team.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "float-mode.h"

namespace kiln {

Team::~Team() {
  quit_ = true;
  calls_++;
  for (std::size_t i = 1; i < members_.size(); i++) members_[i]->call.set(calls_);
  for (std::size_t i = 1; i < members_.size(); i++) members_[i]->thread.join();
}

Result<bool> Team::grow(std::size_t members) {
  try {
    while (members_.size() < members) {
      auto member = std::make_unique<Member>();
      Member &self = *member;
      self.call.reset(calls_);
      const auto thread = static_cast<long>(members_.size());
      members_.push_back(std::move(member));
      if (thread == 0) continue;
      try {
        // The number is read here: the new thread may only get to look after it has been called.
        self.thread = std::thread([this, &self, thread, seen = calls_] { stand(self, thread, seen); });
      } catch (...) {
        members_.pop_back();
        throw;
      }
    }
  } catch (const std::system_error &error) {
    return Failure{"std::thread", error.what()};
  } catch (const std::bad_alloc &) {
    return Failure{"std::thread", "out of memory"};
  }
  return true;
}

Result<long> Team::run(const kiln_entry &entry, const Job &job, ThreadPolicy &policy) {
  if (entry.phase_count == 0) return job.steps;
  if (auto grown = grow(static_cast<std::size_t>(policy.most())); !grown.ok()) return grown.failure();
  try {
    for (auto &member : members_) member->buffers.resize(entry.buffer_count);
  } catch (const std::bad_alloc &) {
    return Failure{"run", "out of memory"};
  }
  KernelFloatMode mode;
  long done = 0;
  while (done < job.steps && !job.stop.load(std::memory_order_relaxed)) {
    calls_++;
    stretch_ = {&entry, &job, policy.threads(), done, calls_, released_.value()};
    arrived_.reset(0);
    for (long i = 1; i < stretch_.threads; i++) members_[static_cast<std::size_t>(i)]->call.set(calls_);
    done = lead(policy);
  }
  return done;
}

// What a member does all its life.
void Team::stand(Member &self, long thread, int seen) {
  for (;;) {
    self.call.wait([seen](int call) { return call != seen; });
    seen = self.call.value();
    if (quit_) return;
    KernelFloatMode mode;
    follow(self, thread);
  }
}

void Team::prepare(Member &member, long first) {
  const Job &job = *stretch_.job;
  for (std::size_t i = 0; i < member.buffers.size(); i++)
    member.buffers[i] = job.buffers[i] == nullptr ? nullptr : job.buffers[i] + job.strides[i] * static_cast<std::size_t>(first);
  member.waited = 0;
}

void Team::advance(Member &member) {
  const Job &job = *stretch_.job;
  for (std::size_t i = 0; i < member.buffers.size(); i++)
    if (job.strides[i] != 0) member.buffers[i] = static_cast<std::byte *>(member.buffers[i]) + job.strides[i];
}

void Team::follow(Member &self, long thread) {
  // A copy: thread 0 may write the next stretch as soon as this one is over.
  const Stretch stretch = stretch_;
  const int others = static_cast<int>(stretch.threads) - 1;
  // After the last barrier nothing of the program may be touched: it may be closed before this thread gets to run again.
  const unsigned phases = stretch.entry->phase_count;
  int generation = stretch.generation;
  prepare(self, stretch.first);
  for (;;) {
    for (unsigned phase = 0; phase < phases; phase++) {
      stretch.entry->phases[phase](self.buffers.data(), thread, stretch.threads);
      arrived_.add(others);
      const Nanoseconds waited = released_.wait([generation](int released) { return released != generation; });
      generation++;
      if (phase + 1 < phases) {
        if (waited != 0) self.waited += waited;
      } else {
        if (finished_.load(std::memory_order_relaxed) - stretch.number >= 0) return;
        if (self.waited != waited) self.waited = waited;
      }
    }
    advance(self);
  }
}

void Team::gather(long threads) {
  if (threads == 1) return;
  const int others = static_cast<int>(threads) - 1;
  members_[0]->waited += arrived_.wait([others](int arrived) { return arrived == others; });
  arrived_.reset(0);
}

// Thread 0's part of a stretch. Returns the number of steps of the job that are done.
long Team::lead(ThreadPolicy &policy) {
  Member &self = *members_[0];
  const Stretch &stretch = stretch_;
  const kiln_entry &entry = *stretch.entry;
  const Job &job = *stretch.job;
  prepare(self, stretch.first);
  long done = stretch.first;
  int generation = stretch.generation;
  Nanoseconds start = now();
  for (;;) {
    for (unsigned phase = 0; phase < entry.phase_count; phase++) {
      entry.phases[phase](self.buffers.data(), 0, stretch.threads);
      gather(stretch.threads);
      if (phase + 1 == entry.phase_count) break;
      if (stretch.threads > 1) released_.set(++generation);
    }
    done++;
    Nanoseconds waited = 0;
    for (long i = 0; i < stretch.threads; i++)
      waited = std::max(waited, members_[static_cast<std::size_t>(i)]->waited);
    self.waited = 0;
    const Nanoseconds end = now();
    policy.record(end, end - start, waited);
    start = end;
    const bool finished =
        done == job.steps || job.stop.load(std::memory_order_relaxed) || policy.threads() != stretch.threads;
    if (finished) finished_.store(stretch.number, std::memory_order_relaxed);
    if (stretch.threads > 1) released_.set(++generation);
    if (finished) return done;
    advance(self);
  }
}

}  // namespace kiln
