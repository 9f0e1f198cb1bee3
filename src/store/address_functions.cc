#include "store/address_functions.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "base/ip_address.h"
#include "base/ip_text.h"

namespace weir::store {

namespace {

constexpr unsigned kMappedBits = 96;  // in front of an IPv4 address

AddressOctets mask(AddressOctets address, unsigned bits) noexcept {
  for (unsigned i = 0; i < address.size(); ++i) {
    const unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
    if (kept < 8) address[i] = static_cast<uint8_t>(address[i] & (0xff00u >> kept));
  }
  return address;
}

bool is_valid(duckdb_data_chunk input, idx_t column, idx_t row) noexcept {
  uint64_t* validity = duckdb_vector_get_validity(duckdb_data_chunk_get_vector(input, column));
  return validity == nullptr || duckdb_validity_row_is_valid(validity, row);
}

void set_null(duckdb_vector output, idx_t row) noexcept {
  duckdb_vector_ensure_validity_writable(output);
  duckdb_validity_set_row_invalid(duckdb_vector_get_validity(output), row);
}

/// Calls `each(row)` where no argument is null; elsewhere the result is. (Constant nulls DuckDB settles itself.)
template <class Each>
void for_each_row(duckdb_data_chunk input, duckdb_vector output, Each each) {
  const idx_t arguments = duckdb_data_chunk_get_column_count(input);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); ++row) {
    bool has_all = true;
    for (idx_t i = 0; i < arguments; ++i) has_all = has_all && is_valid(input, i, row);
    if (has_all) each(row);
    else set_null(output, row);
  }
}

template <class T>
T* data_of(duckdb_vector vector) noexcept {
  return static_cast<T*>(duckdb_vector_get_data(vector));
}

template <class T>
T* argument(duckdb_data_chunk input, idx_t column) noexcept {
  return data_of<T>(duckdb_data_chunk_get_vector(input, column));
}

void ip_text(duckdb_function_info, duckdb_data_chunk input, duckdb_vector output) {
  const auto* in = argument<duckdb_hugeint>(input, 0);
  for_each_row(input, output, [&](idx_t row) {
    const IpAddress address{to_address(in[row])};
    char text[kIpv6TextRoom];
    const char* end = address.is_v4() ? write_ipv4(text, address.wire_data()) : write_ipv6(text, address.wire_data());
    duckdb_vector_assign_string_element_len(output, row, text, static_cast<idx_t>(end - text));
  });
}

void ip_parse(duckdb_function_info, duckdb_data_chunk input, duckdb_vector output) {
  auto* in = argument<duckdb_string_t>(input, 0);
  auto* out = data_of<duckdb_hugeint>(output);
  for_each_row(input, output, [&](idx_t row) {
    const auto address = IpAddress::parse({duckdb_string_t_data(in + row), duckdb_string_t_length(in[row])});
    if (address) out[row] = to_uuid(address->octets);
    else set_null(output, row);
  });
}

void ip_mask(duckdb_function_info, duckdb_data_chunk input, duckdb_vector output) {
  const auto* in = argument<duckdb_hugeint>(input, 0);
  const auto* bits = argument<int32_t>(input, 1);
  auto* out = data_of<duckdb_hugeint>(output);
  for_each_row(input, output, [&](idx_t row) {
    const IpAddress address{to_address(in[row])};
    const unsigned width = address.is_v4() ? 32 : 128;
    const unsigned kept = bits[row] < 0 ? 0 : std::min(static_cast<unsigned>(bits[row]), width);
    out[row] = to_uuid(mask(address.octets, address.is_v4() ? kMappedBits + kept : kept));
  });
}

void mac_text(duckdb_function_info, duckdb_data_chunk input, duckdb_vector output) {
  constexpr char kDigits[] = "0123456789abcdef";
  const auto* in = argument<int64_t>(input, 0);
  for_each_row(input, output, [&](idx_t row) {
    char text[17];
    char* p = text;
    for (int shift = 44; shift >= 0; shift -= 4) {
      *p++ = kDigits[in[row] >> shift & 15];
      if (shift % 8 == 0 && shift != 0) *p++ = ':';
    }
    duckdb_vector_assign_string_element_len(output, row, text, sizeof text);
  });
}

struct LogicalType {
  duckdb_logical_type type;
  explicit LogicalType(duckdb_type id) : type(duckdb_create_logical_type(id)) {}
  ~LogicalType() { duckdb_destroy_logical_type(&type); }
};

struct Function {
  const char* name;
  std::vector<duckdb_type> parameters;
  duckdb_type result;
  duckdb_scalar_function_t run;
};

}  // namespace

Result<void> register_address_functions(Connection& connection) {
  const Function functions[] = {
      {"ip_text", {DUCKDB_TYPE_UUID}, DUCKDB_TYPE_VARCHAR, ip_text},
      {"ip_parse", {DUCKDB_TYPE_VARCHAR}, DUCKDB_TYPE_UUID, ip_parse},
      {"ip_mask", {DUCKDB_TYPE_UUID, DUCKDB_TYPE_INTEGER}, DUCKDB_TYPE_UUID, ip_mask},
      {"mac_text", {DUCKDB_TYPE_BIGINT}, DUCKDB_TYPE_VARCHAR, mac_text},
  };
  for (const Function& function : functions) {
    duckdb_scalar_function made = duckdb_create_scalar_function();
    duckdb_scalar_function_set_name(made, function.name);
    for (const duckdb_type parameter : function.parameters) {
      duckdb_scalar_function_add_parameter(made, LogicalType(parameter).type);
    }
    duckdb_scalar_function_set_return_type(made, LogicalType(function.result).type);
    duckdb_scalar_function_set_function(made, function.run);
    const duckdb_state state = duckdb_register_scalar_function(connection.get(), made);
    duckdb_destroy_scalar_function(&made);
    if (state != DuckDBSuccess) return Error{std::string("DuckDB does not take the function ") + function.name};
  }
  return {};
}

}  // namespace weir::store
