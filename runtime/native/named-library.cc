#include "named-library.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "float-mode.h"

namespace kiln {

#ifdef _WIN32

Result<NamedLibrary> NamedLibrary::open(const std::string &path) {
  SavedFloatMode mode;
  const HMODULE handle = LoadLibraryA(path.c_str());
  if (handle == nullptr) return Failure{"library", path + ": error " + std::to_string(GetLastError())};
  return NamedLibrary(handle);
}

void *NamedLibrary::find(const char *symbol) const {
  return reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(handle_), symbol));
}

#else

Result<NamedLibrary> NamedLibrary::open(const std::string &path) {
  SavedFloatMode mode;
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle != nullptr) return NamedLibrary(handle);
  const char *text = dlerror();
  return Failure{"library", text == nullptr ? path : text};
}

void *NamedLibrary::find(const char *symbol) const { return dlsym(handle_, symbol); }

#endif

}  // namespace kiln
