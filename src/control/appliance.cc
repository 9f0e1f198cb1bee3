// appliance.cc
namespace weir {}
