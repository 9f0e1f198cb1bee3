// eal.cc
namespace weir {}
