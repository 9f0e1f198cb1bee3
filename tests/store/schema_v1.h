// schema_v1.h — The tables of a store of schema version 1, as weir-store 0.1.0 made them.
#pragma once

namespace weir::store {

inline constexpr const char* kSchemaV1 = R"(
CREATE TABLE exporter_interfaces(sampler_address UUID, if_index BIGINT, name VARCHAR, description VARCHAR, speed BIGINT,
  PRIMARY KEY(sampler_address, if_index));
CREATE TABLE exporters(sampler_address UUID PRIMARY KEY, name VARCHAR, site VARCHAR);
CREATE TABLE flow_hours(hour BIGINT PRIMARY KEY, commits BIGINT NOT NULL);
CREATE TABLE flow_none(time TIMESTAMPTZ, start_time TIMESTAMPTZ, end_time TIMESTAMPTZ, received_time TIMESTAMPTZ,
  src_endpoint_addr UUID USING COMPRESSION uncompressed, dst_endpoint_addr UUID USING COMPRESSION uncompressed,
  src_endpoint_port INTEGER, dst_endpoint_port INTEGER, protocol_num INTEGER, tcp_flags INTEGER, ip_tos INTEGER,
  ip_ttl INTEGER, icmp_type INTEGER, icmp_code INTEGER, bytes_total BIGINT, packets_total BIGINT, bytes_raw BIGINT,
  packets_raw BIGINT, bytes_in_raw BIGINT, bytes_out_raw BIGINT, packets_in_raw BIGINT, packets_out_raw BIGINT,
  sampling_rate BIGINT, src_mac BIGINT, dst_mac BIGINT, vlan_id INTEGER, src_vlan INTEGER, dst_vlan INTEGER,
  src_as BIGINT, dst_as BIGINT, next_hop_as BIGINT, next_hop UUID USING COMPRESSION uncompressed,
  bgp_next_hop UUID USING COMPRESSION uncompressed, src_net INTEGER, dst_net INTEGER, as_path BIGINT[],
  bgp_communities BIGINT[], sampler_address UUID USING COMPRESSION uncompressed, observation_domain_id BIGINT,
  in_if BIGINT, out_if BIGINT, flow_source INTEGER, direction_id INTEGER, observed_direction INTEGER,
  flow_end_reason INTEGER, forwarding_status INTEGER, app VARCHAR, server_name VARCHAR, user_name VARCHAR,
  partition VARCHAR, site VARCHAR, src_country VARCHAR, dst_country VARCHAR, src_tags VARCHAR[], dst_tags VARCHAR[],
  labels VARCHAR[], threat_matched BOOLEAN, nat_src_addr UUID USING COMPRESSION uncompressed,
  nat_dst_addr UUID USING COMPRESSION uncompressed, nat_src_port INTEGER, nat_dst_port INTEGER, nat_event INTEGER,
  firewall_event INTEGER, remainder VARCHAR);
CREATE TABLE history_files(path VARCHAR PRIMARY KEY, hour BIGINT NOT NULL, rows BIGINT NOT NULL, octets BIGINT NOT NULL,
  state VARCHAR NOT NULL, trouble VARCHAR NOT NULL, changed BIGINT NOT NULL);
CREATE TABLE identity_ids(id VARCHAR NOT NULL, seen BIGINT NOT NULL);
CREATE TABLE identity_sources(source VARCHAR PRIMARY KEY, runs VARCHAR NOT NULL, seen BIGINT NOT NULL);
CREATE TABLE last_commit(number BIGINT NOT NULL);
CREATE TABLE rolled_as_1d(time TIMESTAMPTZ NOT NULL, src_as BIGINT, dst_as BIGINT, src_country VARCHAR,
  dst_country VARCHAR, flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL,
  bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_as_1h(time TIMESTAMPTZ NOT NULL, src_as BIGINT, dst_as BIGINT, src_country VARCHAR,
  dst_country VARCHAR, flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL,
  bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_as_1m(time TIMESTAMPTZ NOT NULL, src_as BIGINT, dst_as BIGINT, src_country VARCHAR,
  dst_country VARCHAR, flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL,
  bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_bgp_1d(time TIMESTAMPTZ NOT NULL, sampler_address UUID USING COMPRESSION uncompressed,
  as_path BIGINT[], bgp_communities BIGINT[], src_as BIGINT, dst_as BIGINT, flows BIGINT NOT NULL,
  bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_bgp_1h(time TIMESTAMPTZ NOT NULL, sampler_address UUID USING COMPRESSION uncompressed,
  as_path BIGINT[], bgp_communities BIGINT[], src_as BIGINT, dst_as BIGINT, flows BIGINT NOT NULL,
  bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_bgp_1m(time TIMESTAMPTZ NOT NULL, sampler_address UUID USING COMPRESSION uncompressed,
  as_path BIGINT[], bgp_communities BIGINT[], src_as BIGINT, dst_as BIGINT, flows BIGINT NOT NULL,
  bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_dst_1d(time TIMESTAMPTZ NOT NULL, dst_endpoint_addr UUID USING COMPRESSION uncompressed,
  flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL,
  packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_dst_1h(time TIMESTAMPTZ NOT NULL, dst_endpoint_addr UUID USING COMPRESSION uncompressed,
  flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL,
  packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_dst_1m(time TIMESTAMPTZ NOT NULL, dst_endpoint_addr UUID USING COMPRESSION uncompressed,
  flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL,
  packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_interface_1d(time TIMESTAMPTZ NOT NULL, sampler_address UUID USING COMPRESSION uncompressed,
  in_if BIGINT, out_if BIGINT, flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL,
  bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_interface_1h(time TIMESTAMPTZ NOT NULL, sampler_address UUID USING COMPRESSION uncompressed,
  in_if BIGINT, out_if BIGINT, flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL,
  bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_interface_1m(time TIMESTAMPTZ NOT NULL, sampler_address UUID USING COMPRESSION uncompressed,
  in_if BIGINT, out_if BIGINT, flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL,
  bytes_raw BIGINT NOT NULL, packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_service_1d(time TIMESTAMPTZ NOT NULL, protocol_num INTEGER, dst_endpoint_port INTEGER, app VARCHAR,
  flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL,
  packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_service_1h(time TIMESTAMPTZ NOT NULL, protocol_num INTEGER, dst_endpoint_port INTEGER, app VARCHAR,
  flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL,
  packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_service_1m(time TIMESTAMPTZ NOT NULL, protocol_num INTEGER, dst_endpoint_port INTEGER, app VARCHAR,
  flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL,
  packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_src_1d(time TIMESTAMPTZ NOT NULL, src_endpoint_addr UUID USING COMPRESSION uncompressed,
  flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL,
  packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_src_1h(time TIMESTAMPTZ NOT NULL, src_endpoint_addr UUID USING COMPRESSION uncompressed,
  flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL,
  packets_raw BIGINT NOT NULL);
CREATE TABLE rolled_src_1m(time TIMESTAMPTZ NOT NULL, src_endpoint_addr UUID USING COMPRESSION uncompressed,
  flows BIGINT NOT NULL, bytes_total BIGINT NOT NULL, packets_total BIGINT NOT NULL, bytes_raw BIGINT NOT NULL,
  packets_raw BIGINT NOT NULL);
CREATE TABLE rollup_folds(hour BIGINT PRIMARY KEY, folded BIGINT NOT NULL);
CREATE TABLE rollup_state(hours BIGINT NOT NULL, days BIGINT NOT NULL);
CREATE TABLE weir_schema(version BIGINT NOT NULL);
INSERT INTO weir_schema VALUES (1);
INSERT INTO rollup_state VALUES (0, 0);
INSERT INTO last_commit VALUES (0);
)";

}  // namespace weir::store
