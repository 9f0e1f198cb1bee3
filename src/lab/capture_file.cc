// capture_file.cc
namespace weir {}
