// stream_publisher.cc
namespace weir {}
