// counter_tables.h — The values of sFlow's blocks of counters, in their order on the wire.
//
// Spec:     sFlow Version 5 (sflow.org) and its extensions: sflow_host, sflow_host_ip, sflow_lag,
//           sflow_optics, sflow_80211, sflow_openflow, sflow_application, sflow_jvm, sflow_http,
//           sflow_memcache, sflow_broadcom_buffers, sflow_broadcom_tables, sflow_nvml; 2200
//           and 2205 as sflowtool has them.
// Runs on:  any thread. Constant tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir {

enum class CounterType : uint8_t {
  u32,
  i32,
  u64,
  f32,
  mac,   // six octets, filled up to eight
  macs,  // a list of them
  i32s,
  uuid,  // 16 octets
  text,
};

struct CounterField {
  std::string_view name;
  CounterType type;
};

namespace counter {

#define WEIR_U32_(n) \
  CounterField { #n, CounterType::u32 }
#define WEIR_U64_(n) \
  CounterField { #n, CounterType::u64 }

inline constexpr CounterField kInterface[] = {
    WEIR_U32_(if_index),
    WEIR_U32_(if_type),
    WEIR_U64_(if_speed),
    WEIR_U32_(if_direction),
    WEIR_U32_(if_status),
    WEIR_U64_(if_in_octets),
    WEIR_U32_(if_in_ucast_pkts),
    WEIR_U32_(if_in_multicast_pkts),
    WEIR_U32_(if_in_broadcast_pkts),
    WEIR_U32_(if_in_discards),
    WEIR_U32_(if_in_errors),
    WEIR_U32_(if_in_unknown_protos),
    WEIR_U64_(if_out_octets),
    WEIR_U32_(if_out_ucast_pkts),
    WEIR_U32_(if_out_multicast_pkts),
    WEIR_U32_(if_out_broadcast_pkts),
    WEIR_U32_(if_out_discards),
    WEIR_U32_(if_out_errors),
    WEIR_U32_(if_promiscuous_mode),
};
inline constexpr CounterField kEthernet[] = {
    WEIR_U32_(alignment_errors),
    WEIR_U32_(fcs_errors),
    WEIR_U32_(single_collision_frames),
    WEIR_U32_(multiple_collision_frames),
    WEIR_U32_(sqe_test_errors),
    WEIR_U32_(deferred_transmissions),
    WEIR_U32_(late_collisions),
    WEIR_U32_(excessive_collisions),
    WEIR_U32_(internal_mac_transmit_errors),
    WEIR_U32_(carrier_sense_errors),
    WEIR_U32_(frame_too_longs),
    WEIR_U32_(internal_mac_receive_errors),
    WEIR_U32_(symbol_errors),
};
inline constexpr CounterField kVlan[] = {
    WEIR_U32_(vlan_id),        WEIR_U64_(octets),         WEIR_U32_(ucast_pkts),
    WEIR_U32_(multicast_pkts), WEIR_U32_(broadcast_pkts), WEIR_U32_(discards),
};
inline constexpr CounterField kIeee80211[] = {
    WEIR_U32_(transmitted_fragments),
    WEIR_U32_(multicast_transmitted_frames),
    WEIR_U32_(failed),
    WEIR_U32_(retries),
    WEIR_U32_(multiple_retries),
    WEIR_U32_(frame_duplicates),
    WEIR_U32_(rts_success),
    WEIR_U32_(rts_failures),
    WEIR_U32_(ack_failures),
    WEIR_U32_(received_fragments),
    WEIR_U32_(multicast_received_frames),
    WEIR_U32_(fcs_errors),
    WEIR_U32_(transmitted_frames),
    WEIR_U32_(wep_undecryptables),
    WEIR_U32_(qos_discarded_fragments),
    WEIR_U32_(associated_stations),
    WEIR_U32_(qos_cf_polls_received),
    WEIR_U32_(qos_cf_polls_unused),
    WEIR_U32_(qos_cf_polls_unusable),
    WEIR_U32_(qos_cf_polls_lost),
};
inline constexpr CounterField kLag[] = {
    {"actor_system_mac", CounterType::mac},
    {"partner_oper_system_mac", CounterType::mac},
    WEIR_U32_(attached_agg_id),
    WEIR_U32_(port_state),
    WEIR_U32_(lacp_pdus_rx),
    WEIR_U32_(marker_pdus_rx),
    WEIR_U32_(marker_response_pdus_rx),
    WEIR_U32_(unknown_rx),
    WEIR_U32_(illegal_rx),
    WEIR_U32_(lacp_pdus_tx),
    WEIR_U32_(marker_pdus_tx),
    WEIR_U32_(marker_response_pdus_tx),
};
inline constexpr CounterField kOptical[] = {
    WEIR_U32_(module_id),
    WEIR_U32_(num_lanes),
    WEIR_U32_(supply_voltage),
    {"temperature", CounterType::i32},
};
inline constexpr CounterField kLane[] = {
    WEIR_U32_(index),         WEIR_U32_(tx_bias_current), WEIR_U32_(tx_power),
    WEIR_U32_(tx_power_min),  WEIR_U32_(tx_power_max),    WEIR_U32_(tx_wavelength),
    WEIR_U32_(rx_power),      WEIR_U32_(rx_power_min),    WEIR_U32_(rx_power_max),
    WEIR_U32_(rx_wavelength),
};
inline constexpr CounterField kProcessor[] = {
    WEIR_U32_(cpu_5s),       WEIR_U32_(cpu_1m),      WEIR_U32_(cpu_5m),
    WEIR_U64_(total_memory), WEIR_U64_(free_memory),
};
inline constexpr CounterField kRadio[] = {
    WEIR_U32_(elapsed_time),
    WEIR_U32_(on_channel_time),
    WEIR_U32_(on_channel_busy_time),
};
inline constexpr CounterField kQueue[] = {
    WEIR_U32_(queue_index), WEIR_U32_(segment_size), WEIR_U32_(queue_segments),
    WEIR_U32_(length_0),    WEIR_U32_(length_1),     WEIR_U32_(length_2),
    WEIR_U32_(length_4),    WEIR_U32_(length_8),     WEIR_U32_(length_32),
    WEIR_U32_(length_128),  WEIR_U32_(length_1024),  WEIR_U32_(length_more),
    WEIR_U32_(dropped),
};
inline constexpr CounterField kOpenflowPort[] = {WEIR_U64_(datapath_id), WEIR_U32_(port_no)};
inline constexpr CounterField kPortName[] = {{"name", CounterType::text}};
inline constexpr CounterField kHost[] = {
    {"hostname", CounterType::text},   {"uuid", CounterType::uuid},
    WEIR_U32_(machine_type),           WEIR_U32_(os_name),
    {"os_release", CounterType::text},
};
inline constexpr CounterField kAdapter[] = {
    WEIR_U32_(if_index),
    {"mac_addresses", CounterType::macs},
};
inline constexpr CounterField kHostParent[] = {
    WEIR_U32_(container_type),
    WEIR_U32_(container_index),
};
inline constexpr CounterField kHostCpu[] = {
    {"load_one", CounterType::f32},
    {"load_five", CounterType::f32},
    {"load_fifteen", CounterType::f32},
    WEIR_U32_(proc_run),
    WEIR_U32_(proc_total),
    WEIR_U32_(cpu_num),
    WEIR_U32_(cpu_speed),
    WEIR_U32_(uptime),
    WEIR_U32_(cpu_user),
    WEIR_U32_(cpu_nice),
    WEIR_U32_(cpu_system),
    WEIR_U32_(cpu_idle),
    WEIR_U32_(cpu_wio),
    WEIR_U32_(cpu_intr),
    WEIR_U32_(cpu_sintr),
    WEIR_U32_(interrupts),
    WEIR_U32_(contexts),
    WEIR_U32_(cpu_steal),
    WEIR_U32_(cpu_guest),
    WEIR_U32_(cpu_guest_nice),
};
inline constexpr size_t kHostCpuRequired = 17;
inline constexpr CounterField kHostMemory[] = {
    WEIR_U64_(mem_total),  WEIR_U64_(mem_free),   WEIR_U64_(mem_shared), WEIR_U64_(mem_buffers),
    WEIR_U64_(mem_cached), WEIR_U64_(swap_total), WEIR_U64_(swap_free),  WEIR_U32_(page_in),
    WEIR_U32_(page_out),   WEIR_U32_(swap_in),    WEIR_U32_(swap_out),
};
inline constexpr CounterField kHostDisk[] = {
    WEIR_U64_(disk_total), WEIR_U64_(disk_free),     WEIR_U32_(part_max_used),
    WEIR_U32_(reads),      WEIR_U64_(bytes_read),    WEIR_U32_(read_time),
    WEIR_U32_(writes),     WEIR_U64_(bytes_written), WEIR_U32_(write_time),
};
inline constexpr CounterField kNet[] = {
    WEIR_U64_(bytes_in),  WEIR_U32_(packets_in),  WEIR_U32_(errors_in),  WEIR_U32_(drops_in),
    WEIR_U64_(bytes_out), WEIR_U32_(packets_out), WEIR_U32_(errors_out), WEIR_U32_(drops_out),
};
inline constexpr CounterField kVirtualNode[] = {
    WEIR_U32_(mhz),         WEIR_U32_(cpus),        WEIR_U64_(memory),
    WEIR_U64_(memory_free), WEIR_U32_(num_domains),
};
inline constexpr CounterField kVirtualCpu[] = {
    WEIR_U32_(state),
    WEIR_U32_(cpu_time),
    WEIR_U32_(virtual_cpus),
};
inline constexpr CounterField kVirtualMemory[] = {WEIR_U64_(memory), WEIR_U64_(max_memory)};
inline constexpr CounterField kVirtualDisk[] = {
    WEIR_U64_(capacity),      WEIR_U64_(allocation), WEIR_U64_(available),
    WEIR_U32_(read_requests), WEIR_U64_(read_bytes), WEIR_U32_(write_requests),
    WEIR_U64_(write_bytes),   WEIR_U32_(errors),
};
inline constexpr CounterField kAppResources[] = {
    WEIR_U32_(user_time), WEIR_U32_(system_time), WEIR_U64_(mem_used),  WEIR_U64_(mem_max),
    WEIR_U32_(fd_open),   WEIR_U32_(fd_max),      WEIR_U32_(conn_open), WEIR_U32_(conn_max),
};
inline constexpr CounterField kOvsDatapath[] = {
    WEIR_U32_(hits),      WEIR_U32_(misses), WEIR_U32_(lost),
    WEIR_U32_(mask_hits), WEIR_U32_(flows),  WEIR_U32_(masks),
};

inline constexpr CounterField kTokenRing[] = {
    WEIR_U32_(line_errors),
    WEIR_U32_(burst_errors),
    WEIR_U32_(ac_errors),
    WEIR_U32_(abort_trans_errors),
    WEIR_U32_(internal_errors),
    WEIR_U32_(lost_frame_errors),
    WEIR_U32_(receive_congestions),
    WEIR_U32_(frame_copied_errors),
    WEIR_U32_(token_errors),
    WEIR_U32_(soft_errors),
    WEIR_U32_(hard_errors),
    WEIR_U32_(signal_loss),
    WEIR_U32_(transmit_beacons),
    WEIR_U32_(recoverys),
    WEIR_U32_(lobe_wires),
    WEIR_U32_(removes),
    WEIR_U32_(singles),
    WEIR_U32_(freq_errors),
};
inline constexpr CounterField kVg[] = {
    WEIR_U32_(in_high_priority_frames),
    WEIR_U64_(in_high_priority_octets),
    WEIR_U32_(in_norm_priority_frames),
    WEIR_U64_(in_norm_priority_octets),
    WEIR_U32_(in_ipm_errors),
    WEIR_U32_(in_oversize_frame_errors),
    WEIR_U32_(in_data_errors),
    WEIR_U32_(in_null_addressed_frames),
    WEIR_U32_(out_high_priority_frames),
    WEIR_U64_(out_high_priority_octets),
    WEIR_U32_(transition_into_trainings),
    WEIR_U64_(hc_in_high_priority_octets),
    WEIR_U64_(hc_in_norm_priority_octets),
    WEIR_U64_(hc_out_high_priority_octets),
};
inline constexpr CounterField kHostIp[] = {
    WEIR_U32_(forwarding),        WEIR_U32_(default_ttl),    WEIR_U32_(in_receives),
    WEIR_U32_(in_hdr_errors),     WEIR_U32_(in_addr_errors), WEIR_U32_(forw_datagrams),
    WEIR_U32_(in_unknown_protos), WEIR_U32_(in_discards),    WEIR_U32_(in_delivers),
    WEIR_U32_(out_requests),      WEIR_U32_(out_discards),   WEIR_U32_(out_no_routes),
    WEIR_U32_(reasm_timeout),     WEIR_U32_(reasm_reqds),    WEIR_U32_(reasm_oks),
    WEIR_U32_(reasm_fails),       WEIR_U32_(frag_oks),       WEIR_U32_(frag_fails),
    WEIR_U32_(frag_creates),
};
inline constexpr CounterField kHostIcmp[] = {
    WEIR_U32_(in_msgs),
    WEIR_U32_(in_errors),
    WEIR_U32_(in_dest_unreachs),
    WEIR_U32_(in_time_excds),
    WEIR_U32_(in_param_probs),
    WEIR_U32_(in_src_quenchs),
    WEIR_U32_(in_redirects),
    WEIR_U32_(in_echos),
    WEIR_U32_(in_echo_reps),
    WEIR_U32_(in_timestamps),
    WEIR_U32_(in_addr_masks),
    WEIR_U32_(in_addr_mask_reps),
    WEIR_U32_(out_msgs),
    WEIR_U32_(out_errors),
    WEIR_U32_(out_dest_unreachs),
    WEIR_U32_(out_time_excds),
    WEIR_U32_(out_param_probs),
    WEIR_U32_(out_src_quenchs),
    WEIR_U32_(out_redirects),
    WEIR_U32_(out_echos),
    WEIR_U32_(out_echo_reps),
    WEIR_U32_(out_timestamps),
    WEIR_U32_(out_timestamp_reps),
    WEIR_U32_(out_addr_masks),
    WEIR_U32_(out_addr_mask_reps),
};
inline constexpr CounterField kHostTcp[] = {
    WEIR_U32_(rto_algorithm), WEIR_U32_(rto_min),      WEIR_U32_(rto_max),
    WEIR_U32_(max_conn),      WEIR_U32_(active_opens), WEIR_U32_(passive_opens),
    WEIR_U32_(attempt_fails), WEIR_U32_(estab_resets), WEIR_U32_(curr_estab),
    WEIR_U32_(in_segs),       WEIR_U32_(out_segs),     WEIR_U32_(retrans_segs),
    WEIR_U32_(in_errs),       WEIR_U32_(out_rsts),     WEIR_U32_(in_csum_errors),
};
inline constexpr CounterField kHostUdp[] = {
    WEIR_U32_(in_datagrams),   WEIR_U32_(no_ports),      WEIR_U32_(in_errors),
    WEIR_U32_(out_datagrams),  WEIR_U32_(rcvbuf_errors), WEIR_U32_(sndbuf_errors),
    WEIR_U32_(in_csum_errors),
};
inline constexpr CounterField kJvmRuntime[] = {
    {"vm_name", CounterType::text},
    {"vm_vendor", CounterType::text},
    {"vm_version", CounterType::text},
};
inline constexpr CounterField kJvmStatistics[] = {
    WEIR_U64_(heap_initial),       WEIR_U64_(heap_used),
    WEIR_U64_(heap_committed),     WEIR_U64_(heap_max),
    WEIR_U64_(non_heap_initial),   WEIR_U64_(non_heap_used),
    WEIR_U64_(non_heap_committed), WEIR_U64_(non_heap_max),
    WEIR_U32_(gc_count),           WEIR_U32_(gc_time),
    WEIR_U32_(classes_loaded),     WEIR_U32_(classes_total),
    WEIR_U32_(classes_unloaded),   WEIR_U32_(compilation_time),
    WEIR_U32_(thread_num_live),    WEIR_U32_(thread_num_daemon),
    WEIR_U32_(thread_num_started), WEIR_U32_(fd_open_count),
    WEIR_U32_(fd_max_count),
};
inline constexpr size_t kJvmStatisticsRequired = 17;  // older agents do not count files
inline constexpr CounterField kHttp[] = {
    WEIR_U32_(method_option_count), WEIR_U32_(method_get_count),     WEIR_U32_(method_head_count),
    WEIR_U32_(method_post_count),   WEIR_U32_(method_put_count),     WEIR_U32_(method_delete_count),
    WEIR_U32_(method_trace_count),  WEIR_U32_(method_connect_count), WEIR_U32_(method_other_count),
    WEIR_U32_(status_1xx_count),    WEIR_U32_(status_2xx_count),     WEIR_U32_(status_3xx_count),
    WEIR_U32_(status_4xx_count),    WEIR_U32_(status_5xx_count),     WEIR_U32_(status_other_count),
};
inline constexpr CounterField kAppOperations[] = {
    {"application", CounterType::text},
    WEIR_U32_(success),
    WEIR_U32_(other),
    WEIR_U32_(timeout),
    WEIR_U32_(internal_error),
    WEIR_U32_(bad_request),
    WEIR_U32_(forbidden),
    WEIR_U32_(too_large),
    WEIR_U32_(not_implemented),
    WEIR_U32_(not_found),
    WEIR_U32_(unavailable),
    WEIR_U32_(unauthorized),
};
inline constexpr CounterField kMemcache[] = {
    WEIR_U32_(cmd_set),
    WEIR_U32_(cmd_touch),
    WEIR_U32_(cmd_flush),
    WEIR_U32_(get_hits),
    WEIR_U32_(get_misses),
    WEIR_U32_(delete_hits),
    WEIR_U32_(delete_misses),
    WEIR_U32_(incr_hits),
    WEIR_U32_(incr_misses),
    WEIR_U32_(decr_hits),
    WEIR_U32_(decr_misses),
    WEIR_U32_(cas_hits),
    WEIR_U32_(cas_misses),
    WEIR_U32_(cas_badval),
    WEIR_U32_(auth_cmds),
    WEIR_U32_(auth_errors),
    WEIR_U32_(threads),
    WEIR_U32_(conn_yields),
    WEIR_U32_(listen_disabled_num),
    WEIR_U32_(curr_connections),
    WEIR_U32_(rejected_connections),
    WEIR_U32_(total_connections),
    WEIR_U32_(connection_structures),
    WEIR_U32_(evictions),
    WEIR_U32_(reclaimed),
    WEIR_U32_(curr_items),
    WEIR_U32_(total_items),
    WEIR_U64_(bytes_read),
    WEIR_U64_(bytes_written),
    WEIR_U64_(bytes),
    WEIR_U64_(limit_maxbytes),
};
// Format 2200, which 2204 replaced.
inline constexpr CounterField kMemcached[] = {
    WEIR_U32_(uptime),           WEIR_U32_(rusage_user),       WEIR_U32_(rusage_system),
    WEIR_U32_(curr_connections), WEIR_U32_(total_connections), WEIR_U32_(connection_structures),
    WEIR_U32_(cmd_get),          WEIR_U32_(cmd_set),           WEIR_U32_(cmd_flush),
    WEIR_U32_(get_hits),         WEIR_U32_(get_misses),        WEIR_U32_(delete_misses),
    WEIR_U32_(delete_hits),      WEIR_U32_(incr_misses),       WEIR_U32_(incr_hits),
    WEIR_U32_(decr_misses),      WEIR_U32_(decr_hits),         WEIR_U32_(cas_misses),
    WEIR_U32_(cas_hits),         WEIR_U32_(cas_badval),        WEIR_U32_(auth_cmds),
    WEIR_U32_(auth_errors),      WEIR_U64_(bytes_read),        WEIR_U64_(bytes_written),
    WEIR_U32_(limit_maxbytes),   WEIR_U32_(accepting_conns),   WEIR_U32_(listen_disabled_num),
    WEIR_U32_(threads),          WEIR_U32_(conn_yields),       WEIR_U64_(bytes),
    WEIR_U32_(curr_items),       WEIR_U32_(total_items),       WEIR_U32_(evictions),
};
inline constexpr CounterField kVdi[] = {
    WEIR_U32_(sessions_current), WEIR_U32_(sessions_total),  WEIR_U32_(sessions_duration),
    WEIR_U32_(rx_bytes),         WEIR_U32_(tx_bytes),        WEIR_U32_(rx_packets),
    WEIR_U32_(tx_packets),       WEIR_U32_(rx_packets_lost), WEIR_U32_(tx_packets_lost),
    WEIR_U32_(rtt_min_ms),       WEIR_U32_(rtt_max_ms),      WEIR_U32_(rtt_avg_ms),
    WEIR_U32_(audio_rx_bytes),   WEIR_U32_(audio_tx_bytes),  WEIR_U32_(audio_tx_limit),
    WEIR_U32_(img_rx_bytes),     WEIR_U32_(img_tx_bytes),    WEIR_U32_(img_frames),
    WEIR_U32_(img_qual_min),     WEIR_U32_(img_qual_max),    WEIR_U32_(img_qual_avg),
    WEIR_U32_(usb_rx_bytes),     WEIR_U32_(usb_tx_bytes),
};
inline constexpr CounterField kAppWorkers[] = {
    WEIR_U32_(workers_active), WEIR_U32_(workers_idle), WEIR_U32_(workers_max),
    WEIR_U32_(req_delayed),    WEIR_U32_(req_dropped),
};
inline constexpr CounterField kBstDevice[] = {
    {"uc_pc", CounterType::i32},
    {"mc_pc", CounterType::i32},
};
// Hundredths of a percent, -1 where unknown; the lists are of the egress queues.
inline constexpr CounterField kBstPort[] = {
    {"ingress_uc_pc", CounterType::i32},       {"ingress_mc_pc", CounterType::i32},
    {"egress_uc_pc", CounterType::i32},        {"egress_mc_pc", CounterType::i32},
    {"egress_queue_uc_pc", CounterType::i32s}, {"egress_queue_mc_pc", CounterType::i32s},
};
inline constexpr CounterField kHwTables[] = {
    WEIR_U32_(host_entries),         WEIR_U32_(host_entries_max),
    WEIR_U32_(ipv4_entries),         WEIR_U32_(ipv4_entries_max),
    WEIR_U32_(ipv6_entries),         WEIR_U32_(ipv6_entries_max),
    WEIR_U32_(ipv4_ipv6_entries),    WEIR_U32_(ipv4_ipv6_entries_max),
    WEIR_U32_(long_ipv6_entries),    WEIR_U32_(long_ipv6_entries_max),
    WEIR_U32_(total_routes),         WEIR_U32_(total_routes_max),
    WEIR_U32_(ecmp_nexthops),        WEIR_U32_(ecmp_nexthops_max),
    WEIR_U32_(mac_entries),          WEIR_U32_(mac_entries_max),
    WEIR_U32_(ipv4_neighbors),       WEIR_U32_(ipv6_neighbors),
    WEIR_U32_(ipv4_routes),          WEIR_U32_(ipv6_routes),
    WEIR_U32_(acl_ingress_entries),  WEIR_U32_(acl_ingress_entries_max),
    WEIR_U32_(acl_ingress_counters), WEIR_U32_(acl_ingress_counters_max),
    WEIR_U32_(acl_ingress_meters),   WEIR_U32_(acl_ingress_meters_max),
    WEIR_U32_(acl_ingress_slices),   WEIR_U32_(acl_ingress_slices_max),
    WEIR_U32_(acl_egress_entries),   WEIR_U32_(acl_egress_entries_max),
    WEIR_U32_(acl_egress_counters),  WEIR_U32_(acl_egress_counters_max),
    WEIR_U32_(acl_egress_meters),    WEIR_U32_(acl_egress_meters_max),
    WEIR_U32_(acl_egress_slices),    WEIR_U32_(acl_egress_slices_max),
};
inline constexpr CounterField kGpu[] = {
    WEIR_U32_(device_count), WEIR_U32_(processes), WEIR_U32_(gpu_time),   WEIR_U32_(mem_time),
    WEIR_U64_(mem_total),    WEIR_U64_(mem_free),  WEIR_U32_(ecc_errors), WEIR_U32_(energy),
    WEIR_U32_(temperature),  WEIR_U32_(fan_speed),
};

#undef WEIR_U32_
#undef WEIR_U64_

}  // namespace counter
}  // namespace weir
