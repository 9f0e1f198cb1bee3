// weir_run.cc
namespace weir {}
