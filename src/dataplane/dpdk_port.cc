// dpdk_port.cc
namespace weir {}
