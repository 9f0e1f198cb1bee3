// log.cc
namespace weir {}
