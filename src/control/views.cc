// views.cc
namespace weir {}
