// batch_reader.cc
namespace weir {}
