// What JavaScript passes to native calls, checked.
#ifndef KILN_ARGUMENTS_H
#define KILN_ARGUMENTS_H

#include <napi.h>

#include <cstddef>
#include <optional>
#include <span>

namespace kiln {

// The bytes of a typed array; a view of shared memory will do, an `ArrayBuffer` itself will not. Detached ones are empty.
std::optional<std::span<std::byte>> bytesOf(napi_env env, napi_value value);

// A count that JavaScript gave as a number.
std::optional<std::size_t> countOf(Napi::Value value);

}  // namespace kiln

#endif
