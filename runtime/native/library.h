// A shared object opened from its bytes, not from its path: what was hashed is what runs, a file that is overwritten
// meanwhile changes nothing, and a program compiled again into the same place is not mistaken for its predecessor (the
// dynamic linker tells libraries apart by name first).
#ifndef KILN_LIBRARY_H
#define KILN_LIBRARY_H

#include <cstddef>
#include <span>
#include <string>

#include "failure.h"

namespace kiln {

class Library {
 public:
  // Loads a shared object. The floating-point mode of the thread is what it was before, whatever its initialisers do.
  static Result<Library> open(std::span<const std::byte> image);

  Library(Library &&other) noexcept;
  Library &operator=(Library &&other) noexcept;
  ~Library();

  // Address of a symbol, or null.
  void *find(const char *symbol) const;

 private:
  Library(void *handle, int file) : handle_(handle), file_(file) {}

  void *handle_;
  // Kept open as long as the library is, since its number is part of the name the library was opened by; or -1.
  int file_;
};

}  // namespace kiln

#endif
