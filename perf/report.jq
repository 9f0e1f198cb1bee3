# report.jq — One section of docs/PERFORMANCE.md, or one chart, of perf/run.sh's JSON. Called by perf/report.sh.
#
#   jq -r --arg section NAME -f perf/report.jq run.json

def places($n): if . == null then "–" else (. * pow(10; $n) | round / pow(10; $n)) end;
def digits: if . == null then "–" elif . >= 100 then round elif . >= 10 then places(1) else places(2) end;
def m: if . == null then "–" else . / 1e6 | digits end;
def thousands: if . == null then "–" else round | tostring | [while(length > 0; .[:-3])] | map(.[-3:]) | reverse | join(",") end;
def row: "| " + (map(tostring) | join(" | ")) + " |";
def table($head): ([$head | row, ($head | map("---") | row)] + map(row)) | join("\n");
def spread(f): if . == null then "–" elif .least == null or .least == .most then (.median | f) else "\(.median | f) (\(.least | f) to \(.most | f))" end;
def ms: if . == null then "–" else . / 1e6 | digits end;
def escaped: tostring | gsub("&"; "&amp;") | gsub("<"; "&lt;") | gsub(">"; "&gt;");

# Horizontal bars of [{label, value, text}], in colours that are read on light and on dark.
def bars($title): . as $rows | ([.[].value] | max // 1) as $most
  | "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 \(50 + 26 * ($rows | length))\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#777\">",
    "<text x=\"10\" y=\"22\" font-size=\"15\" font-weight=\"bold\">\($title | escaped)</text>",
    ($rows | to_entries[] | (44 + 26 * .key) as $y | (.value.value / (if $most == 0 then 1 else $most end) * 400 | if . < 1 then 1 else round end) as $wide
      | "<text x=\"230\" y=\"\($y + 12)\" text-anchor=\"end\">\(.value.label | escaped)</text>",
        "<rect x=\"240\" y=\"\($y)\" width=\"\($wide)\" height=\"16\" rx=\"2\" fill=\"#3b82c4\"/>",
        "<text x=\"\(248 + $wide)\" y=\"\($y + 12)\">\(.value.text | escaped)</text>"),
    "</svg>";

def kinds: {v5: "NetFlow v5", v9: "NetFlow v9", ipfix: "IPFIX", variable: "IPFIX with three strings", sflow: "sFlow"};
def kind: kinds[.] // .;
def of_v9: (.wire_to_encoded // [] | map(select(.name == "v9")) | .[0]);

def machine:
  "\(.machine.cpu), \(.machine.cpus) CPUs, \(.machine.memory_mib / 1024 | places(1)) GiB of memory; Linux \(.machine.kernel); \(.machine.compiler); \(.machine.version)"
  + (.machine.programs // {} | to_entries | map("; \(.key) \(.value)") | join("")) + ".\n\n"
  + "Run \(.machine.when), `perf/run.sh\(if .settings.quick then " --quick" else "" end)`, \(.settings.took_seconds) s: medians, least and most in brackets; whole replays \(.settings.rounds) x \(.settings.seconds) s"
  + (.settings.parts // [] | map(", \(.of) \(.rounds) x \(.seconds) s") | join(""))
  + (.peers | if . == null then "" else ", collectors side by side \(.rounds) x \(.seconds) s" end) + (if .settings.parts == null then ", other parts less" else "" end) + "."
  # The load average is of the minute before, what ended in it too: what the CPUs did just before says more.
  + (if .machine.busy_before == null then " Load average when it began: \(.machine.load_before)" + (if .machine.load_before > 0.5 * .machine.cpus then ", on \(.machine.cpus) CPUs: **where that was not what had just ended, absolute figures are too low.**" else "." end)
     elif .machine.busy_before > 0.1 * .machine.cpus then "\n\n**The machine was not quiet: \(.machine.busy_before) of its \(.machine.cpus) CPUs were busy when the run began.** Absolute figures are too low, by how much nobody can say; take ratios of what ran in turn."
     else " Busy when it began: \(.machine.busy_before) of \(.machine.cpus) CPUs." end)
  + (.machine.bare_loop_ns // null | if . == null then "" else " The bare loop over v5 took \(.[0] | digits) ns a record before it and \(.[1] | digits) after it." end)
  + (if (.settings.skipped | length) > 0 then "\n\nNot measured here: " + (.settings.skipped | join("; ")) + "." else "" end);

# A rate without loss: of runs before it was searched for again and again, one number.
def limit: if . == null or .frames_per_second == null then "–" else {median: .frames_per_second, least: (.least // null), most: (.most // null)} | if .least == null then .median | thousands else spread(thousands) end end;
def delivery_records: . as $all | (of_v9 | if . == null or .frames_per_second == null or .frames_per_second == 0 then null else .records_per_second.median / .frames_per_second end) as $each
  | $all.delivery_limit[0].frames_per_second // null | if . == null or $each == null then null else . * $each end;

# What each section is made of; a part that was measured by itself says so.
def section_keys: {headline: ["wire_to_encoded", "lossless_limit", "wire_to_acknowledged", "delivery_limit", "delivery_unhurried", "wire_to_queryable"], decode: ["decode_encode_ns_per_record"],
  replay: ["wire_to_encoded", "lossless_limit"], stages: ["wire_to_encoded"], scaling: ["scaling"], acknowledged: ["wire_to_acknowledged", "batches"], queryable: ["wire_to_queryable"], events: ["events"],
  streams: ["event_streams"], peers: ["peers", "peers_veth"], goals: ["wire_to_encoded", "peers", "peers_veth"], sizing: ["wire_to_encoded", "wire_to_acknowledged", "scaling"], ports: ["ports"], sessions: ["sessions"]};
def key_names: {lossless_limit: "rates without loss", delivery_limit: "the rate to JetStream without loss", delivery_unhurried: "delivery at half of that", wire_to_encoded: "wire to encoded", wire_to_acknowledged: "wire to acknowledged",
  batches: "batches", wire_to_queryable: "wire to queryable", peers: "collectors over loopback", peers_veth: "collectors over veth"};
def measured_again($section):
  . as $run | [section_keys[$section] // [] | .[] | {key: ., how: $run.measured_again[.]?} | select(.how != null)]
  | group_by([.how.when, .how.version]) | map(.[0].how as $how | "\n\n*Measured anew, by itself" + (map(key_names[.key] // empty) | if length == 0 then "" else " (" + join(", ") + ")" end)
    + ": \($how.when), \($how.version)\(if $how.quick then ", `--quick`" else "" end); busy before: \($how.busy_before) CPUs; the bare loop over v5 took \($how.bare_loop_ns | map(digits) | join(" to ")) ns then"
    + (($run | select(.measured_again.decode_encode_ns_per_record == null) | .decode_encode_ns_per_record["bare_loop/netflow_v5"].median // null) // null | if . == null then "" else ", \(digits) in the run above" end) + ".*") | join("");

def headline:
  . as $all
  | [ ["(a) wire → decoded and encoded, one core", (of_v9 | if . == null then "–" else "\(.records_per_second.median | m) million records/s of NetFlow v9" end),
       # At its most the player waits for the core; at a rate it does not.
       ($all.lossless_limit // [] | map(select(.name == "v9")) | .[0].frames_per_second | if . == null then "no rate found" else . as $frames
         | "none lost at \(thousands) datagrams/s, which is \($all | of_v9 | $frames / .frames_per_second * .records_per_second.median | m) million records/s" end)],
      ["(b) wire → acknowledged by JetStream", ($all.wire_to_acknowledged[0] | if . == null then "not measured" else "\(.acknowledged_per_second.median | m) million records/s" end),
       ($all.wire_to_acknowledged[0] | if . == null then "–" else (if .lossless then "nothing lost" else "what JetStream did not take was dropped and counted" end) + "; p99 \(.delivery_ns.p99 / 1e6 | digits) ms" end)
         + ($all | delivery_records | if . == null then "" else "; none lost at \(m) million records/s" end)
         + ($all.delivery_unhurried | if . == null then "" else ", and at half of that p50 \(.delivery_ns.p50 | ms) ms, p99 \(.delivery_ns.p99 | ms)" end)],
      ["(c) wire → the answer of a query", ($all.wire_to_queryable | if . == null then "not measured" else "\(.flows_per_second | m) million flows/s" end),
       ($all.wire_to_queryable | if . == null then "–" else (if .nothing_lost then "all of them counted by the query" else "NOT ALL OF THEM COUNTED" end)
         + (if .acknowledged < .flows then ", of \(.flows | thousands) that were played \(.acknowledged | thousands) had been taken" else "" end)
         + (.paced | if .age_ms == null then "" else "; at \(.flows_per_second | thousands) flows/s the newest row is \(.age_ms.p50 | digits) ms old (p99 \(.age_ms.p99 | digits))" end) end)]
    ] | table(["", "", ""]);

def decode:
  .decode_encode_ns_per_record // {} | . as $all
  | (keys | map(select(startswith("decode_encode/")) | ltrimstr("decode_encode/"))) as $names
  | $names | map(. as $n | [$n, ($all["decode_encode/" + $n] | spread(digits)), ($all["decode_encode_portable/" + $n] // null | if . == null then "–" else spread(digits) end),
      ($all["fused/" + $n] // null | if . == null then "–" else spread(digits) end), ($all["fused_portable/" + $n] // null | if . == null then "–" else spread(digits) end),
      (($all["fused/" + $n] // $all["decode_encode/" + $n]).median | 1e9 / . | m)])
  | table(["ns a record", "best kernel", "portable kernel", "fused form", "fused form, portable kernel", "million records/s a core, by the fused form where there is one"])
  + ($all["bare_loop/netflow_v5"] | if . == null then "" else "\n\nThe bare loop without checks takes \(.median | digits) ns a v5 record." end);

def replay:
  . as $all | .wire_to_encoded // [] | map(. as $r | [(.name | kind), (.records_per_second | spread(m)), (.frames_per_second | thousands), (.wire_octets_per_record | digits), (.cpu_ns_per_record.median | digits), (.cycles_per_record.median | digits), (.memory_mib | round),
      ($all.lossless_limit // [] | map(select(.name == $r.name)) | .[0] | limit)])
  | table(["", "million records/s", "datagrams/s", "octets of frames a record", "ns of CPU a record, whole process", "cycles a record, receive core", "MiB", "datagrams/s without loss, by halving"]);

def stages:
  .wire_to_encoded // [] | map(select(.stages != null) | [(.name | kind), (.stages | (.parse_ns, .decode_ns, .decode_ns + .encode_ns, .all_ns | digits))])
  | if length == 0 then "Not measured in this run." else table(["ns of CPU a record", "parse the frame", "decode to records", "decode and encode", "in all"]) end;

def scaling:
  .scaling // [] | group_by(.name) | map(.[0].name as $name | sort_by(.x | tonumber? // .)
    | "**\($name)**\n\n" + (map([.x, (.records_per_second | spread(m)), (.cpu_ns_per_record.median | digits), (.memory_mib | round)]) | table([$name, "million records/s", "ns of CPU a record", "MiB"])))
  | join("\n\n");

def batches: map(["`\(.options)`", ({median: .records_per_second, least, most} | spread(m)), "\(.of_bare_percent) %"]) | table(["`bench_deliver`", "million records/s", "of a bare publisher's messages"]);

# Parts of another run, beside this one's and not in their place: rows that this one did not measure, and what they are to be held against.
def of_another_run($section):
  . as $run | {replay: ["lossless_limit"], scaling: ["scaling"], acknowledged: ["batches"]}[$section] // [] | map(. as $key | $run.beside[$key]? | select(. != null)
    | "\n\n*In another run (\(.how.when), \(.how.version); busy before: \(.how.busy_before) CPUs; the bare loop over v5 took \(.how.bare_loop_ns | map(digits) | join(" to ")) ns), to be held against each other only:*\n\n"
      + (if $key == "scaling" then {scaling: .rows} | scaling elif $key == "batches" then .rows | batches else .rows | map([(.name | kind), limit]) | table(["", "datagrams/s without loss, by halving"]) end)) | join("");

def acknowledged:
  (.wire_to_acknowledged // [] | map([.name, (.acknowledged_per_second | spread(m)), (.cpu_ns_per_record.median | digits), (.delivery_ns | (.p50, .p99, .p999, .max | ms)), (.octets_per_record | digits), (.memory_mib | round)])
    | table(["", "million records/s acknowledged", "ns of CPU a record", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "octets a record", "MiB"]))
  + (if (.batches // [] | length) == 0 then "" else "\n\n" + (.batches | batches) end);

def event_stages: [["parse", "message to fields"], ["rules", "parse and fifty rules"], ["event", "parse and event, without rules"], ["transform", "parse, fifty rules, event"],
  ["enriched", "the same, with a country and an ASN database of half a million prefixes each"], ["decision", "parse, and a decision file's result in place of the event"],
  ["plain_consumer", "protobuf's classes and a line of JSON, without a mapping"]];
def events:
  .events // [] | if length == 0 then "Not measured in this run." else
    group_by(.of) | map((map({key: .stage, value: .}) | from_entries) as $by | .[0].of as $of | $by.plain_consumer.ns_per_flow.median as $plain
      | "**\($of)**\n\n" + (event_stages | map(. as [$stage, $what] | $by[$stage] | select(. != null)
          | ["\($stage): \($what)", (.ns_per_flow | spread(digits)), (if $plain == null then "–" else .ns_per_flow.median / $plain | places(2) end),
             (1e9 / .ns_per_flow.median | m), (.octets_per_flow | if . == null then "–" else round end), (.allocations_per_flow | digits)])
        | table(["stage", "ns a flow", "of the plain consumer's", "million flows/s a core", "octets a flow", "allocations a flow"]))) | join("\n\n") end;

def streams:
  .event_streams // null | if . == null then "Not measured in this run." else
    (map([.name, (.flows | thousands), (.flows_per_second | spread(m)), (.cpu_ns_per_flow | spread(digits)), (.server_cpu_ns_per_flow | spread(digits)), (.octets_per_event | round),
        (if .nothing_lost then "every flow an event\(if .dropped > 0 then ", or dropped by a rule: \(.dropped | thousands)" else "" end)" else "NOT ALL OF THEM" end)])
      | table(["weir-etl", "flows", "million flows/s", "ns of CPU a flow", "nats-server's", "octets an event in the stream", ""])) end;

def queryable:
  .wire_to_queryable | if . == null then "Not measured in this run." else
    "\(.flows | thousands) flows were played as fast as they were taken; \(.acknowledged | thousands) were acknowledged, and a query counted \(.stored | thousands) of them \(.seconds | digits) s after the first was received: "
    + "**\(.flows_per_second | thousands) flows/s**. Then, at \(.paced.flows_per_second | thousands) flows/s, "
    + (.paced | if .age_ms == null then "no answer came." else "\(.answers) answers had rows whose newest was \(.age_ms.p50 | digits) ms old in the median, \(.age_ms.p99 | digits) ms in a hundredth, \(.age_ms.max | digits) ms at most." end) end;

def peers_table:
  . as $run | .peers | (map(select(.peer == "nfcapd")) | .[0].cpu_us_per_record) as $nfcapd | any(.lossless) as $limits
  | map([.peer, ({median: .cpu_us_per_record, least, most} | spread(places(3))), (if $nfcapd == null or $nfcapd == 0 then "–" else .cpu_us_per_record / $nfcapd | places(2) end), "\(.lost | thousands) of \(.datagrams | thousands)\(if (.complaints // 0) > 0 then ", and by its log more" else "" end)",
      (if $limits then .lossless | if . == null then "–" elif .sent_per_second == null then "below \(.below | thousands)" else (.sent_per_second | thousands) + (if .bound_by_sender then " and more" else "" end) end else empty end), (.memory_mib | round), .does])
  | table(["", "CPU µs a record", "of nfcapd's", "lost at \($run.rate | thousands)/s", (if $limits then "datagrams/s without loss" else empty end), "MiB", "does with a record"])
  + (if $limits then "\n\n*Without loss* by halving, in runs of \($run.limit_seconds) s, counted as sent by the clock; *and more*: the sender, which has the same CPUs, could no more." else "" end)
  + (if any($run.peers[]; has("complaints")) then "" else "\n\nNobody looked into their logs in this run." end);
def peers:
  [.peers, .peers_veth] | map(select(. != null)) | if length == 0 then "Not measured in this run." else
    map("Over \(if .path == "veth" then "a pair of interfaces between two namespaces" else "loopback, kernel sockets" end)\(if (.skipped // [] | length) > 0 then " (not installed: " + (.skipped | join(", ")) + ")" else "" end):\n\n" + peers_table) | join("\n\n") end;

# The whole process's CPU a record beside nfcapd's in the same run, least first.
def goals:
  def of(run; $peer): (run.peers // []) | map(select(.peer == $peer)) | .[0].cpu_us_per_record;
  . as $all | of(.peers; "nfcapd") as $loopback | of(.peers_veth; "nfcapd") as $veth
  | (of_v9.cpu_ns_per_record.median | if . == null then null else . / 1000 end) as $replay
  | [ ["replay of NetFlow v9, no kernel", $replay, $loopback, "loopback", 0.1],
      ["replay of NetFlow v9, no kernel", $replay, $veth, "veth", 0.1],
      ["kernel sockets, loopback", of(.peers; "weir"), $loopback, "loopback", 0.5],
      ["kernel sockets, veth", of(.peers_veth; "weir"), $veth, "veth", 0.5],
      ["net_af_packet, veth", of(.peers_veth; "weir-af-packet"), $veth, "veth", 0.1],
      ["net_af_xdp, veth", of(.peers_veth; "weir-af-xdp"), $veth, "veth", 0.1] ]
  | map(select(.[1] != null and .[2] != null and .[2] > 0) | (.[1] / .[2]) as $share
    | [.[0], (.[1] | places(3)), "\(.[2] | places(3)) (\(.[3]))", ($share | places(2)), "\(.[4])\(if $share <= .[4] then "" else ": missed" end)"])
  | if length == 0 then "Not measured in this run." else table(["Weir by", "CPU µs a record", "nfcapd's", "share", "goal, at most"]) end;

# Twice of what was measured, for bursts and what else the host does.
def sizing:
  . as $all | (of_v9.cpu_ns_per_record.median) as $discard | (.wire_to_acknowledged[0].cpu_ns_per_record.median // $discard) as $cpu
  | (.wire_to_acknowledged[0].octets_per_record // 140) as $octets
  | (.scaling // [] | map(select(.name == "exporters"))) as $exporters
  | if $cpu == null then "Not measured in this run." else
    [[100, 10000], [100, 100000], [1000, 300000], [1000, 1000000], [10000, 3000000]]
    | map(. as [$e, $f]
      # More exporters leave the caches: by as much as replay says, of what it was measured with.
      | ($exporters | [(map(select((.x | tonumber) >= $e)) | min_by(.x | tonumber)), (map(select(.x == "100")) | .[0])] | map(.cpu_ns_per_record.median // null)
         | if .[0] == null or .[1] == null then 1 else [1, .[0] / .[1]] | max end) as $more
      | ($f * $cpu * $more * 2 / 1e9) as $cores
      | [($e | thousands), ($f | thousands), (if $cores <= 1 then "1" else ($cores | ceil | tostring) end),
         ($exporters | map(select((.x | tonumber) >= $e)) | min_by(.x | tonumber) // ($exporters | max_by(.x | tonumber)) | if . == null then "–" else "\(.memory_mib / 64 | ceil * 64) MiB" end),
         "\($f * $octets * 8 / 1e6 | digits) Mbit/s"])
    | table(["exporters", "flows/s", "cores of the collector", "memory", "to NATS, without compression"])
    + "\n\nCores are twice \($cpu | digits) ns a record, measured to the acknowledgement with 100 exporters, and more for more of them as they cost in replay"
      + ($all.wire_to_acknowledged[0].acknowledged_per_second.median // null | if . == null or . >= 3e6 then "" else "; 3,000,000 flows/s are more than was acknowledged here, with nats-server on the same CPUs" end) + "; a record is \($octets | digits) octets on the way to NATS. nats-server and the store have cores of their own."
  end;

# CPU of the receive thread a datagram beside that of bare loops over the same kind of wire.
def ports:
  .ports | if . == null then "Not measured in this run." else . as $run
    | {socket: "kernel socket", af_packet: "af_packet", af_xdp: "AF_XDP"} as $kinds
    | {bare: "bare loop", driver: "bare loop over DPDK's driver", port: "Weir, receiving only", whole: "Weir, decoding and encoding"} as $words
    | .receivers | map(. as $r | ($run.receivers | map(select(.kind == $r.kind))) as $kind
      | def beside($who): $kind | map(select(.who == $who)) | .[0].full_ns.median | if . == null or $r.full_ns == null or $r.who == $who then "–" else "\(. / $r.full_ns.median * 100 | round) %" end;
      ["\($kinds[.kind]): \($words[.who])", (.full_ns | spread(digits)), beside("bare"), beside("driver"), (if .wake_ns == null then "–" else .wake_ns.median / 1000 | digits end), (.paced_ns | spread(digits)), "\(.paced_lost | thousands) of \(.paced_sent | thousands)",
       (.datagrams_per_second_lossless | if . == null or . == 0 then "–" else thousands end) + (if .bound_by_sender then " and more" else "" end)])
    | table(["", "ns a datagram, queue full", "rate of the bare loop's", "rate of the driver's", "µs a wake", "ns a datagram at \($run.rate | thousands)/s", "lost then", "datagrams/s without loss"]) end;

def sessions:
  .sessions | if . == null then "Not measured in this run." else
    .sessions | map([.sessions, ({median: (1e9 / .cpu_ns_per_record.median), least: (1e9 / .cpu_ns_per_record.most), most: (1e9 / .cpu_ns_per_record.least)} | spread(m)),
      (.records_per_second | spread(m)), (if .sessions < 100 then "–" else .kib_per_session.median | digits end), .lost])
    | table(["sessions", "million records a second of a core's CPU", "million records/s sent", "KiB a session", "lost"]) end;

def charts:
  if $section == "chart-encoded" then .wire_to_encoded // [] | map({label: (.name | kind), value: .records_per_second.median, text: "\(.records_per_second.median | m) M/s"}) | bars("Wire to encoded, records a second on one core")
  elif $section == "chart-exporters" then .scaling // [] | map(select(.name == "exporters")) | sort_by(.x | tonumber) | map({label: "\(.x) exporters", value: .records_per_second.median, text: "\(.records_per_second.median | m) M/s"}) | bars("NetFlow v9 by number of exporters, records a second")
  else (.peers_veth // .peers // {peers: []}) | .path as $path | .peers | map({label: .peer, value: .cpu_us_per_record, text: "\(.cpu_us_per_record | places(3)) µs"}) | bars("CPU of the whole process a record, over \($path // "nothing")")
  end;

(if $section == "machine" then machine
elif $section == "headline" then headline
elif $section == "streams" then streams
elif $section == "decode" then decode
elif $section == "replay" then replay
elif $section == "scaling" then scaling
elif $section == "acknowledged" then acknowledged
elif $section == "queryable" then queryable
elif $section == "events" then events
elif $section == "peers" then peers
elif $section == "sizing" then sizing
elif $section == "goals" then goals
elif $section == "stages" then stages
elif $section == "ports" then ports
elif $section == "sessions" then sessions
elif ($section | startswith("chart-")) then charts
else error("no section \($section)") end) + measured_again($section) + of_another_run($section)
