// config.cc
namespace weir {}
