// socket_port.cc
namespace weir {}
