// The interface between an emitted program (program.c) and whoever runs it. Plain C, included by both sides.
//
// A program exports `kiln_program`. Each entry is a list of phases; `phase(buffers, thread, threads)` does the share of
// thread `thread` of `threads` of every launch in the phase. All threads must finish a phase before any begins the next.
// `buffers[i]` is the address of buffer i of the entry, in the order of the manifest, 64-byte aligned where the runtime
// allocates it. Phases touch nothing but these buffers and never block, allocate or fail.
#ifndef KILN_PROGRAM_H
#define KILN_PROGRAM_H

#define KILN_PROGRAM_ABI 1u

typedef void kiln_phase(void *const *buffers, long thread, long threads);

struct kiln_entry {
  const char *name;          // "train@64"
  unsigned buffer_count;
  unsigned phase_count;
  kiln_phase *const *phases;
};

struct kiln_program {
  unsigned abi;              // KILN_PROGRAM_ABI
  unsigned entry_count;
  const struct kiln_entry *entries;
};

#endif
