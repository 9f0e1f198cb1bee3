// weir_generate.cc
namespace weir {}
