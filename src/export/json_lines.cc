// json_lines.cc
namespace weir {}
