#include "failure.h"

#include <system_error>

namespace kiln {

Failure systemFailure(const char *call, int error) {
  return {call, std::error_code(error, std::generic_category()).message()};
}

}  // namespace kiln
