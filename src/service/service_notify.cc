// service_notify.cc
namespace weir {}
