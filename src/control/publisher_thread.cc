// publisher_thread.cc
namespace weir {}
