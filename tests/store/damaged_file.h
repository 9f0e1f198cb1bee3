// damaged_file.h — Files as a disk that forgets gives them back.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "store_database.h"

namespace weir::store {

inline void flip_bit(const std::string& path, std::streamoff offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(offset);
  const auto octet = static_cast<char>(file.get() ^ 0x10);
  file.seekp(offset);
  file.put(octet);
}

/// Turns one bit in a page such that the question is answered all the same, otherwise than before. Where; 0: there is no such bit.
inline std::streamoff flip_bit_unnoticed(StoreDatabase& store, const std::string& path, const std::string& question) {
  const std::string before = store.ask(question);
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path));
  for (std::streamoff at = size / 20; at < size / 2; at += size / 400 + 1) {
    flip_bit(path, at);
    const std::string answer = store.ask(question);
    if (answer != before && !answer.starts_with("error")) return at;
    flip_bit(path, at);
  }
  return 0;
}

}  // namespace weir::store
