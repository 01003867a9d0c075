#include "library.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "float-mode.h"

namespace kiln {

namespace {

// A file descriptor, closed at the end of the scope unless released.
class File {
 public:
  explicit File(int number) : number_(number) {}
  ~File() {
    if (number_ >= 0) close(number_);
  }
  File(const File &) = delete;
  File &operator=(const File &) = delete;
  int number() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

// Writes all of `image`; 0, or the errno of the write that failed.
int writeAll(int file, std::span<const std::byte> image) {
  while (!image.empty()) {
    const ssize_t written = write(file, image.data(), image.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    image = image.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

void *openQuietly(const std::string &path) {
  SavedFloatMode mode;
  return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

Failure linkFailure(const char *call) {
  const char *text = dlerror();
  return {call, text == nullptr ? "unknown error" : text};
}

}  // namespace

Result<Library> Library::open(std::span<const std::byte> image) {
#ifdef __linux__
  File memory(memfd_create("kiln-program", MFD_CLOEXEC));
  if (memory.number() >= 0) {
    if (const int error = writeAll(memory.number(), image); error != 0) return systemFailure("write", error);
    void *handle = openQuietly("/proc/self/fd/" + std::to_string(memory.number()));
    if (handle == nullptr) return linkFailure("dlopen");
    return Library(handle, memory.release());
  }
#endif
  const char *folder = std::getenv("TMPDIR");
  std::string path = std::string(folder == nullptr || *folder == '\0' ? "/tmp" : folder) + "/kiln-program-XXXXXX";
  File file(mkstemp(path.data()));
  if (file.number() < 0) return systemFailure("mkstemp", errno);
  const int error = writeAll(file.number(), image);
  void *handle = error == 0 ? openQuietly(path) : nullptr;
  // The message is the linker's own and must be taken before anything else is called.
  Result<Library> result = error != 0           ? Result<Library>(systemFailure("write", error))
                           : handle == nullptr ? Result<Library>(linkFailure("dlopen"))
                                               : Result<Library>(Library(handle, -1));
  unlink(path.c_str());
  return result;
}

Library::Library(Library &&other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), file_(std::exchange(other.file_, -1)) {}

Library &Library::operator=(Library &&other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(file_, other.file_);
  return *this;
}

Library::~Library() {
  if (handle_ != nullptr) {
    SavedFloatMode mode;
    dlclose(handle_);
  }
  if (file_ >= 0) close(file_);
}

void *Library::find(const char *symbol) const { return dlsym(handle_, symbol); }

}  // namespace kiln
