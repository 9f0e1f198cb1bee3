// jetstream_publisher.cc
namespace weir {}
