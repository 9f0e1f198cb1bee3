// weir_decode.cc
namespace weir {}
