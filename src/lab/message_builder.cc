// message_builder.cc
namespace weir {}
