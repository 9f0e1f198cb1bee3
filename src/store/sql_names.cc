#include "store/sql_names.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_map>

namespace weir::store {
namespace {

constexpr std::string_view kTables[] = {"flows",     "ocsf_network_activity", "netflow",     "flow_rows", "flow_none",    "bgp_routing_info",
                                        "exporters", "exporter_interfaces",   "weir_schema", "flow_hours", "history_files"};

constexpr std::string_view kTableFunctions[] = {"range", "generate_series", "unnest", "json_each", "json_tree", "pragma_table_info"};

struct Names {
  Growth growth;
  std::string_view names;
};
// clang-format off
constexpr Names kFunctions[] = {
    {Growth::largest,
     "% & && * ** + - ->> / // <-> << <=> <@ >> @ @> ^ ^@ abs acos acosh add age any_value approx_quantile arbitrary arg_max "
     "arg_max_null arg_min arg_min_null argmax argmin array_agg array_cosine_distance array_cosine_similarity array_cross_product "
     "array_distance array_distinct array_dot_product array_extract array_filter array_grade_up array_inner_product array_intersect "
     "array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front array_reverse array_reverse_sort "
     "array_select array_slice array_sort array_unique array_where asin asinh atan atan2 atanh bit_and bit_count bit_or bit_position "
     "bit_xor bool_and bool_or cbrt ceil ceiling century chr corr cos cosh cot covar_pop covar_samp cume_dist current_date "
     "current_localtime current_localtimestamp date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day "
     "dayname dayofmonth dayofweek dayofyear decade decode degrees dense_rank divide element_at entropy era error even exp factorial "
     "favg fdiv fill filter first first_value flatten floor fmod formatReadableDecimalSize formatReadableSize format_bytes from_base64 "
     "from_binary from_hex fsum gamma gcd gen_random_uuid geomean geometric_mean get_bit get_current_time get_current_timestamp grade_up "
     "greatest greatest_common_divisor histogram histogram_exact hour isfinite isinf isnan isodow isoyear json_extract json_extract_path "
     "json_extract_path_text json_extract_string json_group_array json_group_object json_keys json_structure json_type json_value julian "
     "kahan_sum kurtosis kurtosis_pop lag last last_day last_value lcase lcm lead least least_common_multiple left left_grapheme lgamma "
     "list list_any_value list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or "
     "list_cosine_distance list_cosine_similarity list_count list_distance list_distinct list_dot_product list_element list_entropy "
     "list_extract list_filter list_first list_grade_up list_histogram list_inner_product list_intersect list_kurtosis list_kurtosis_pop "
     "list_last list_mad list_max list_median list_min list_mode list_negative_dot_product list_negative_inner_product list_product "
     "list_reverse list_reverse_sort list_select list_sem list_skewness list_slice list_sort list_stddev_pop list_stddev_samp list_sum "
     "list_unique list_var_pop list_var_samp list_where ln log log10 log2 lower ltrim mad make_date make_time make_timestamp "
     "make_timestamp_ms make_timestamp_ns make_timestamptz map_contains map_contains_entry map_contains_value map_entries map_extract "
     "map_extract_value map_from_entries map_keys map_values max max_by mean median microsecond millennium millisecond min min_by minute "
     "mod mode month monthname multiply nanosecond nextafter nfc_normalize normalized_interval now nth_value ntile nullif parse_dirname "
     "parse_dirpath parse_filename parse_path percent_rank pi pow power product quantile quantile_cont quantile_disc quarter radians "
     "random rank rank_dense regexp_extract regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy "
     "reverse right right_grapheme round round_even roundbankers row_number rtrim second sem set_bit sign signbit sin sinh skewness "
     "split_part sqrt stddev stddev_pop stddev_samp strptime struct_contains struct_extract struct_extract_at struct_has struct_indexof "
     "struct_position substr substring substring_grapheme subtract sum_no_overflow sumkahan tan tanh time_bucket timezone timezone_hour "
     "timezone_minute to_base to_centuries to_days to_decades to_hours to_microseconds to_millennia to_milliseconds to_minutes to_months "
     "to_quarters to_seconds to_timestamp to_weeks to_years today transaction_timestamp trim trunc try_strptime ucase unbin unnest upper "
     "url_decode uuid uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 var_pop var_samp variance wavg week weekday weekofyear "
     "weighted_avg xor year yearweek | ~ "},
    {Growth::sum,
     "array_append array_cat array_concat array_prepend array_push_back array_push_front array_value array_zip concat concat_ws "
     "json_array json_merge_patch json_object list_append list_cat list_concat list_pack list_prepend list_value list_zip map map_concat "
     "row struct_concat struct_insert struct_pack struct_update || "},
    {Growth::product,
     "apply array_apply array_to_string array_transform group_concat list_apply list_transform listagg regexp_replace replace string_agg "
     "translate "},
    {Growth::twice,
     "array_to_json base64 encode hex json json_pretty json_quote regexp_escape row_to_json strip_accents to_base64 to_hex to_json unhex "
     "url_encode "},
    {Growth::eightfold,
     "bin regexp_extract_all regexp_split_to_array strftime split str_split str_split_regex string_split string_split_regex string_to_array "
     "to_binary "},
    {Growth::counted,
     "repeat "},
    {Growth::padded,
     "approx_top_k array_resize generate_series list_resize lpad range rpad "},
    {Growth::format,
     "format printf "},
    {Growth::small,
     "!~~ !~~* approx_count_distinct array_contains array_has array_has_all array_has_any array_indexof array_length array_position "
     "ascii avg bit_length cardinality char_length character_length contains count count_if count_star countif ends_with epoch epoch_ms "
     "epoch_ns epoch_us hamming hash ilike_escape instr ip_mask ip_parse ip_text jaccard jaro_similarity jaro_winkler_similarity "
     "json_array_length json_contains json_exists json_valid len length length_grapheme like_escape list_contains list_has list_has_all "
     "list_has_any list_indexof list_position mac_text md5 md5_number mismatches not_ilike_escape not_like_escape octet_length ord "
     "position prefix regexp_full_match regexp_matches sha1 sha256 starts_with strlen strpos suffix sum typeof unicode ~~ ~~* ~~~ "},
};
// clang-format on

using Functions = std::unordered_map<std::string_view, Growth>;

Functions read_functions() {
  Functions functions;
  for (const Names& each : kFunctions) {
    std::string_view rest = each.names;
    for (size_t end = rest.find(' '); end != std::string_view::npos; end = rest.find(' ')) {
      functions.emplace(rest.substr(0, end), each.growth);
      rest.remove_prefix(end + 1);
    }
  }
  return functions;
}

bool is_word(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

}  // namespace

bool is_store_table(std::string_view name) noexcept {
  if (std::find(std::begin(kTables), std::end(kTables), name) != std::end(kTables)) return true;
  // An hour's rows, and sums.
  return (name.starts_with("flow_h") || name.starts_with("rollup_")) && is_word(name);
}

bool is_table_function(std::string_view name) noexcept {
  return std::find(std::begin(kTableFunctions), std::end(kTableFunctions), name) != std::end(kTableFunctions);
}

std::optional<Growth> growth_of(std::string_view function) noexcept {
  static const Functions functions = read_functions();
  const auto found = functions.find(function);
  if (found == functions.end()) return std::nullopt;
  return found->second;
}

}  // namespace weir::store
