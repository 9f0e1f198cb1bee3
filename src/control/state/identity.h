// identity.h — Which appliance this is, over restarts.
#pragma once

#include <string>

namespace weir::control {

/// The UUID in `state_dir`/appliance_id, made there if absent. Where nothing can be kept (no
/// state_dir, not writable) a new one for this run, with a warning in the log: message ids then
/// still differ between runs.
std::string load_or_make_appliance_uuid(const std::string& state_dir);

/// RFC 4122 version 4 in its usual text form.
bool is_uuid(const std::string& text) noexcept;

}  // namespace weir::control
