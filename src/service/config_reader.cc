// config_reader.cc
namespace weir {}
