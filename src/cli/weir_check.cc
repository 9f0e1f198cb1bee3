// weir_check.cc
namespace weir {}
