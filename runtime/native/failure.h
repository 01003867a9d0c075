// How native code says that something went wrong: the call that failed and its text. No C++ exception leaves this folder;
// the binding turns a failure into a JavaScript error with the properties `call` and `message`.
#ifndef KILN_FAILURE_H
#define KILN_FAILURE_H

#include <string>
#include <utility>
#include <variant>

namespace kiln {

struct Failure {
  std::string call;
  std::string text;
};

// The failure of the system call named `call`, with the text of `error` (an errno value).
Failure systemFailure(const char *call, int error);

// A value, or why there is none.
template <class T>
class Result {
 public:
  Result(T value) : content_(std::move(value)) {}
  Result(Failure failure) : content_(std::move(failure)) {}

  bool ok() const { return content_.index() == 0; }
  T &value() { return *std::get_if<0>(&content_); }
  const Failure &failure() const { return *std::get_if<1>(&content_); }

 private:
  std::variant<T, Failure> content_;
};

}  // namespace kiln

#endif
