// Survives a panic of wgpu-native. Where a driver loses the device in the middle of a call, the library ends the process
// (Rust's abort, SIGABRT), which would take the user's program along. It does so as the last act of its own outermost
// function, when everything below has returned; so the thread may go on behind the call, if nothing is asked of that
// device any more.
#ifndef KILN_PANIC_GUARD_H
#define KILN_PANIC_GUARD_H

namespace kiln {

// Makes a call of the library; whether it returned. Of the objects that the call makes none needs its destructor. Aborts
// of other threads, and of this one outside of such a call, are what they were before.
bool survives(void (*call)(void *), void *argument);

template <class Call>
bool survives(Call call) {
  return survives([](void *pointer) { (*static_cast<Call *>(pointer))(); }, &call);
}

}  // namespace kiln

#endif
