// traffic.cc
namespace weir {}
