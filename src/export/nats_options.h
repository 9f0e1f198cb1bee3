// nats_options.h — What a connection to NATS is made from, and why it could not be made.
//
// Runs on:  whoever connects.
// Failure:  an Error that names the option or the file and what is wrong with it, without any secret.
//
// Files (certificates, keys, credentials) are read here, each time: options are made for one connection.
#pragma once

#include "export/nats_client.h"

namespace weir::outbound {

struct OptionsDeleter {
  void operator()(natsOptions* options) const noexcept;
};
using OptionsPtr = std::unique_ptr<natsOptions, OptionsDeleter>;

/// The client library's options for `config`.
Result<OptionsPtr> make_nats_options(const NatsConfig& config);

/// The files that `config` names: when one of them changes, a connection is no longer what it should be.
std::vector<std::string> files_of(const NatsConfig& config);

/// natsConnection_Connect, and again where the library's way to sign may be why the server refuses; a natsStatus.
int connect_to_nats(natsConnection** connection, natsOptions* options, const NatsConfig& config);
/// After a failed try, in the thread of that try: what an operator can do something about.
std::string explain_failed_connect(int status, const NatsConfig& config);

}  // namespace weir::outbound
