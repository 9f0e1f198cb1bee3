// good_rules.h — Rules, expressions and decision files that are right: what damage begins with.
#pragma once

namespace weir::rules::testing {

inline constexpr const char* kGoodRules[] = {
    R"yaml(version: 1
sets: {local: [10.0.0.0/8, '2001:db8::/32'], web: [80, 443, 8000-8999], names: [ssh, http]}
local_prefixes: "@local"
derive: {is_web: proto == 6 and dst_port in @web}
rules:
  - {id: small, when: bytes < 50, then: {drop: true}}
  - id: web
    description: what is asked for
    when: is_web and cidr(src_addr, @local)
    then: {sample: 10, set: {app_name: "'web'", severity_id: 2, unmapped.team: "`a ${bytes / 3} b`"}, labels: [web, inside]}
)yaml",
    R"yaml(version: 1
rules:
  - {id: a, when: "application_name in ['ssh', 'http'] or 443 in as_path", then: {labels: [x]}}
  - {id: b, then: {set: {count: "proto == 6 ? floor(bytes / 7) : 0"}}}
)yaml"};

inline constexpr const char* kGoodExpressions[] = {
    "bytes > 100 and proto in [6, 17]",
    "src_addr == '10.0.0.1' ? `from ${src_addr}` : null ?? 'x'",
    "cidr(src_addr, @local) or dst_port not in @ports",
    "lower(trim(application_name)) == 'web' and len(as_path) > 3",
    "round(bytes / packets, 2) ^ 2 % 7 - -1.5e3",
    "bytes in [1..1023) and not (proto == 6)",
    "some(as_path, # > 1) and map(as_path as p, p + 1)[0] == 2",
    "extract(body, '^x.(9+).*$')[1] ?? split(body, '|')[0:2]",
    "merge([o, {a: {c: null}, 'b c': [1, 2]}]).a.b",
    "> 5 and < 10, [20..30], 'a'",
    "src_mac == mac('02-00-00-00-00-0A') or mac(in_if_name) != mac(bytes)",
    "contains(string(bytes), '10') and matches(protocol_name, '(T|U)[CD]+P')",
};

inline constexpr const char* kGoodDecisions[] = {
    R"({"nodes":[{"id":"i","type":"inputNode","name":"in"},)"
    R"({"id":"e","type":"expressionNode","name":"make","content":{"passThrough":true,"inputField":"o","outputPath":"r.s","expressions":[)"
    R"({"id":"1","key":"a.b","value":"bytes > 100 ? string(7/2) : null"},{"id":"2","key":"c","value":"$.a"}]}},)"
    R"({"id":"o","type":"outputNode","name":"out"}],)"
    R"("edges":[{"id":"1","sourceId":"i","targetId":"e"},{"id":"2","sourceId":"e","targetId":"o"},{"id":"3","sourceId":"i","targetId":"o"}]})"};

}  // namespace weir::rules::testing
