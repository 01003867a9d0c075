// A library of the system, opened by its path or name and never closed again: drivers leave threads behind that run its
// code until the process ends.
#ifndef KILN_NAMED_LIBRARY_H
#define KILN_NAMED_LIBRARY_H

#include <string>

#include "failure.h"

namespace kiln {

class NamedLibrary {
 public:
  // Failures have the call "library". The floating-point mode of the thread is what it was before.
  static Result<NamedLibrary> open(const std::string &path);

  // Address of a symbol, or null.
  void *find(const char *symbol) const;

 private:
  explicit NamedLibrary(void *handle) : handle_(handle) {}

  void *handle_;
};

}  // namespace kiln

#endif
