#include "dataplane/xdp_steerings.h"

#include <algorithm>
#include <string>
#include <utility>

#include "dataplane/port_plan.h"

namespace weir::dataplane {

/// If one of the ports on the interface has another one for what is no export traffic, the program takes everything.
Result<void> XdpSteerings::steer(DpdkDevice& device, std::span<const DpdkPort> ports) {
  const std::string interface = device.xdp_interface();
  if (interface.empty()) return {};
  for (const std::unique_ptr<XdpSteering>& steering : steerings_)
    if (steering->interface() == interface) return device.join(*steering);
  const bool takes_everything = std::any_of(ports.begin(), ports.end(), [&](const DpdkPort& port) {
    const std::vector<std::string> names = interfaces_of(DeviceSpec::parse(port.device));
    return port.exception.is_on() && !names.empty() && names.back() == interface;
  });
  Result<std::unique_ptr<XdpSteering>> made =
      XdpSteering::make(interface, takes_everything ? XdpScope::everything : XdpScope::listeners);
  if (!made) return made.error();
  steerings_.push_back(std::move(*made));
  return device.join(*steerings_.back());
}

Result<void> XdpSteerings::add_ports(std::span<const Listener> listeners) {
  for (const std::unique_ptr<XdpSteering>& steering : steerings_)
    if (Result<void> added = steering->add_ports(listeners); !added) return added;
  return {};
}

Result<void> XdpSteerings::attach() {
  for (const std::unique_ptr<XdpSteering>& steering : steerings_)
    if (Result<void> attached = steering->attach(); !attached) return attached;
  return {};
}

/// A change is under way by then and does not fail by it: the note of the port says what could not be taken back.
void XdpSteerings::keep_ports(std::span<const Listener> listeners, std::span<const std::unique_ptr<DpdkDevice>> devices) {
  for (const std::unique_ptr<XdpSteering>& steering : steerings_) {
    const Result<void> kept = steering->keep_ports(listeners);
    for (const std::unique_ptr<DpdkDevice>& device : devices)
      if (device->xdp_interface() == steering->interface()) device->set_steering_note(kept ? "" : kept.error().message);
  }
}

void XdpSteerings::detach() noexcept {
  for (const std::unique_ptr<XdpSteering>& steering : steerings_) steering->detach();
}

}  // namespace weir::dataplane
