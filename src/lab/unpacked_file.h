// unpacked_file.h — A file as a stream, unpacked on the way where it was packed with gzip or zstd.
//
// Spec:     RFC 1952 (gzip), RFC 8878 (zstd), told by their first octets; members and frames behind one another.
// Bounds:   kPackedOctets read ahead, and what the libraries need; a zstd frame may ask for a window of 128 MiB at most.
// Failure:  a stream that is damaged or cut short fails to be read (EIO), after all that came before.
#pragma once

#include <cstdio>
#include <string>

#include "base/result.h"

namespace weir::lab {

/// `path` "-" is standard input. Closed by fclose.
Result<std::FILE*> open_unpacked(const std::string& path);

}  // namespace weir::lab
