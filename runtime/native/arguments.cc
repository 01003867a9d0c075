#include "arguments.h"

namespace kiln {

std::optional<std::span<std::byte>> bytesOf(napi_env env, napi_value value) {
  bool typed = false;
  if (napi_is_typedarray(env, value, &typed) != napi_ok || !typed) return std::nullopt;
  napi_typedarray_type type;
  std::size_t length = 0;
  void *data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok) return std::nullopt;
  std::size_t size = 1;
  switch (type) {
    case napi_int16_array:
    case napi_uint16_array:
      size = 2;
      break;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      size = 4;
      break;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array:
      size = 8;
      break;
    default:
      break;
  }
  return std::span(static_cast<std::byte *>(data), length * size);
}

std::optional<std::size_t> countOf(Napi::Value value) {
  if (!value.IsNumber()) return std::nullopt;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= 9007199254740991.0)) return std::nullopt;
  const auto count = static_cast<std::size_t>(number);
  return static_cast<double>(count) == number ? std::optional(count) : std::nullopt;
}

}  // namespace kiln
