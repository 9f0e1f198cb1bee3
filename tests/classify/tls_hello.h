// tls_hello.h — A TLS ClientHello, RFC 8446 §4.1.2, built for tests.
#pragma once

#include <string>

#include "classify_support.h"

namespace weir::classify::testing {

struct ClientHello {
  std::string server_name{};  // empty: none
  size_t before = 0;          // other extensions ahead of it
  size_t session_octets = 32;
  size_t ciphers = 3;

  Octets build() const {
    Octets extensions;
    const auto extension = [&extensions](uint16_t type, const Octets& body) {
      put16(extensions, type);
      put16(extensions, body.size());
      extensions.insert(extensions.end(), body.begin(), body.end());
    };
    for (size_t i = 0; i < before; ++i) extension(static_cast<uint16_t>(0x0a0a + 0x1010 * (i % 16)), Octets(7));
    if (!server_name.empty()) {
      Octets list;
      put16(list, server_name.size() + 3);
      list.push_back(0);
      put16(list, server_name.size());
      list.insert(list.end(), server_name.begin(), server_name.end());
      extension(0, list);
    }
    extension(43, {2, 3, 4});  // supported_versions
    Octets hello{3, 3};
    for (uint8_t i = 0; i < 32; ++i) hello.push_back(i);
    hello.push_back(static_cast<uint8_t>(session_octets));
    hello.resize(hello.size() + session_octets, 0x55);
    put16(hello, 2 * ciphers);
    for (size_t i = 0; i < ciphers; ++i) put16(hello, 0x1301 + i);
    hello.push_back(1);
    hello.push_back(0);
    put16(hello, extensions.size());
    hello.insert(hello.end(), extensions.begin(), extensions.end());
    Octets record{22, 3, 1};
    put16(record, hello.size() + 4);
    record.push_back(1);
    record.push_back(0);
    put16(record, hello.size());
    record.insert(record.end(), hello.begin(), hello.end());
    return record;
  }

 private:
  static void put16(Octets& to, size_t v) {
    to.push_back(static_cast<uint8_t>(v >> 8));
    to.push_back(static_cast<uint8_t>(v));
  }
};

}  // namespace weir::classify::testing
