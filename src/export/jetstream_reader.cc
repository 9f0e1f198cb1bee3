// jetstream_reader.cc
namespace weir {}
