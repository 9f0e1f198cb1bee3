// weir_read.cc
namespace weir {}
