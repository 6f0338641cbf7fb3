#!/usr/bin/env bash
# What naming services costs and gets wrong: `portcullis scan` and `nmap -sV` in turn look at the same ports of hosts that
# answer everything and mean nothing (bench/traps.py), and of servers that others wrote. Counts at the target. Prints a table
# and `figure NAME VALUE`. All of it between two network namespaces. Not a timed test: it fails only when it cannot measure.
#   PORTCULLIS    the program, when it is built already
#   BENCH_INSTALL=1 installs nmap and tcpdump with apt when they are missing
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "bench-identify: needs root, for namespaces and raw packets" >&2; exit 2; }
if [ "${BENCH_INSTALL:-}" = 1 ]; then
  for tool in nmap tcpdump; do
    command -v "$tool" >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$tool" >/dev/null
  done
fi
target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
program=${PORTCULLIS:-}
if [ -z "$program" ]; then
  cargo build --quiet --locked --release -p portcullis-cli
  program=$target/release/portcullis
fi
python=$(scripts/real-servers "$target")

work=$(mktemp -d)
near=identify-$$-a far=identify-$$-b
started=()
cleanup() {
  for pid in "${started[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  ip netns del "$near" 2>/dev/null || true
  ip netns del "$far" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
ip netns add "$near"
ip netns add "$far"
ip -n "$near" link add wire type veth peer name wire netns "$far"
ip -n "$near" addr add 10.77.0.1/24 dev wire
ip -n "$far" addr add 10.77.0.2/24 dev wire
for space in "$near" "$far"; do
  ip -n "$space" link set lo up
  ip -n "$space" link set wire up
done
for host in 1 2 3 4 5 6 7 8 9; do ip -n "$far" addr add "10.77.1.$host/32" dev wire; done
ip -n "$near" route add 10.77.1.0/24 via 10.77.0.2
printf '[site]\nname = "bench"\n[[zone]]\nname = "lab"\nnetworks = ["10.77.0.0/23"]\n' >"$work/site.toml"

# An empty /run, as the servers expect it; each ends with the process that is started here.
serve() {
  ip netns exec "$far" unshare --mount --pid --fork --kill-child -- \
    sh -c 'mount -t tmpfs run /run && mkdir /run/sshd && exec "$@"' sh "$@" >>"$work/log" 2>&1 &
  started+=($!)
}
traps="502 4840 54321" real="22 80 102 1883 2404"
# shellcheck disable=SC2086
serve python3 bench/traps.py 10.77.1 $traps
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
serve /usr/sbin/sshd -D -e -f /dev/null -h "$work/key" -o PidFile=none
mkdir "$work/nginx"
printf 'daemon off; user root; pid nginx/pid; error_log stderr; events {} http { access_log off; client_body_temp_path nginx/b;
  proxy_temp_path nginx/p; fastcgi_temp_path nginx/f; uwsgi_temp_path nginx/u; scgi_temp_path nginx/s;
  server { listen 80; location / { return 200 "<title>Plant</title>"; } } }' >"$work/nginx.conf"
serve /usr/sbin/nginx -p "$work/" -c "$work/nginx.conf"
printf 'listener 1883 0.0.0.0\nallow_anonymous true\nuser root\n' >"$work/mosquitto.conf"
serve /usr/sbin/mosquitto -c "$work/mosquitto.conf"
serve "$python" crates/cli/tests/servers/s7comm.py
serve "$python" crates/cli/tests/servers/iec104.py
for port in $traps $real; do
  for _ in $(seq 300); do
    ip netns exec "$far" ss -Hltn "sport = :$port" | grep -q . && continue 2
    sleep 0.1
  done
  echo "bench-identify: nobody serves port $port:" >&2
  cat "$work/log" >&2
  exit 1
done

ports=$(tr ' ' ',' <<<"$traps $real")
run() { # NAME COMMAND...
  ip netns exec "$far" tcpdump -i wire -n -Q in -s 128 -w "$work/$1.pcap" tcp 2>"$work/$1.tcpdump" &
  local tcpdump=$! begun
  started+=("$tcpdump")
  for _ in $(seq 100); do grep -q listening "$work/$1.tcpdump" && break; sleep 0.1; done
  begun=$(date +%s.%N)
  ip netns exec "$near" timeout 1500 "${@:2}" </dev/null >"$work/$1.out" 2>"$work/$1.err" || [ $? = 3 ] || {
    cat "$work/$1.err" >&2
    exit 1
  }
  date +%s.%N | awk -v begun="$begun" '{ printf "%.1f", $1 - begun }' >"$work/$1.took"
  sleep 1
  kill -INT "$tcpdump"
  wait "$tcpdump" || true
}
run portcullis env PORTCULLIS_CONFIG="$work/site.toml" PORTCULLIS_STORE="$work/store.sqlite" \
  "$program" scan 10.77.0.2 10.77.1.1-9 --ports "$ports" --quiet --format jsonl
# One nmap to a host, at the same time: a silent port holds it for nearly three minutes, and the counts are the same.
# An endless talker holds it for ever: after five minutes that host is without names, and its packets are counted.
# shellcheck disable=SC2016
run nmap sh -c 'for host in 10.77.0.2 10.77.1.1 10.77.1.2 10.77.1.3 10.77.1.4 10.77.1.5 10.77.1.6 10.77.1.7 10.77.1.8 10.77.1.9; do
  timeout 300 nmap -n -Pn -sV -p "$1" -oX "$2/nmap-$host.xml" "$host" >/dev/null & done; wait' sh "$ports" "$work"

python3 - "$work" <<'P'
import glob, json, struct, sys
import xml.etree.ElementTree as xml
sys.path.insert(0, "bench")
from traps import TRAPS
work = sys.argv[1]
traps = {f"10.77.1.{number}": trap.__name__ for number, trap in enumerate(TRAPS, 1)}
# What is true of a trap all the same, in the words of either program.
true = {"http": {"http"}, "echo": {"echo"}, "chargen": {"chargen"}}
real = {22: {"ssh"}, 80: {"http"}, 102: {"s7comm", "iso-tsap"}, 1883: {"mqtt"}, 2404: {"iec-104"}}

# The real servers answer at the addresses of the traps too.
def trap_at(place):
    return None if place[1] in real else traps.get(place[0])

def felt(name):
    """Connections that stood, and payloads, of each host and port."""
    data = open(f"{work}/{name}.pcap", "rb").read()
    at, stood, said = 24, {}, {}
    while at < len(data):
        kept, = struct.unpack_from("<I", data, at + 8)
        frame = data[at + 16:at + 16 + kept]
        at += 16 + kept
        ip = frame[14:]
        if len(ip) < 40:
            break
        header, total = (ip[0] & 15) * 4, struct.unpack_from(">H", ip, 2)[0]
        to = ".".join(map(str, ip[16:20]))
        source, port, sequence = struct.unpack_from(">HHI", ip, header)
        length = total - header - (ip[header + 12] >> 4) * 4
        flags = ip[header + 13]
        # Beyond SYN and reset: the handshake was completed.
        if not flags & 0b110:
            stood.setdefault((to, port), set()).add(source)
        if length > 0:
            said.setdefault((to, port), set()).add((source, sequence))
    return stood, said

def names_portcullis():
    opened, names = set(), {}
    for line in open(f"{work}/portcullis.out"):
        record = json.loads(line)
        if record.get("state") != "open":
            continue
        place = record["address"], int(record["port"].split("/")[1])
        opened.add(place)
        for one in record["identifications"]:
            if one["grade"] in ("likely", "proven"):
                names.setdefault(place, set()).add(one["service"])
    return opened, names

def names_nmap():
    opened, names = set(), {}
    documents = []
    for path in glob.glob(f"{work}/nmap-*.xml"):
        try:
            documents.append(xml.parse(path))
        except xml.ParseError:
            print(f"nmap did not end: {path.split('nmap-')[1].removesuffix('.xml')}")
            opened |= {place for place in opened_by["portcullis"] if f"nmap-{place[0]}.xml" in path}
    for host in (host for document in documents for host in document.iter("host")):
        address = host.find("address").get("addr")
        for port in host.iter("port"):
            if port.find("state").get("state") != "open":
                continue
            place = address, int(port.get("portid"))
            opened.add(place)
            service = port.find("service")
            # "table" is the usual name of the number, and tcpwrapped is nmap's word for nothing said.
            if service is not None and service.get("method") == "probed" and service.get("name") != "tcpwrapped":
                names[place] = {service.get("name") + (f" ({service.get('product')})" if service.get("product") else "")}
    return opened, names

figures, table, opened_by = {}, {}, {}
for program, read in ("portcullis", names_portcullis), ("nmap", names_nmap):
    opened, names = read()
    stood, said = felt(program)
    opened_by[program] = opened
    false = []
    for (address, port), given in sorted(names.items()):
        if trap := trap_at((address, port)):
            right = true.get(trap, set())
            false += [(trap, port, name) for name in given if name.split(" ")[0] not in right]
    named = sum(any(name.split(" ")[0] in real[port] for name in given) for (address, port), given in names.items() if not trap_at((address, port)))
    count = lambda what: [len(what.get(place, ())) for place in opened]
    figures[program] = sum(count(stood)) / len(opened), sum(count(said)) / len(opened), len(false)
    took = open(f"{work}/{program}.took").read()
    print(f"{program}: {len(opened)} open ports, {took} s, {named} of {len(real) * (len(traps) + 1)} ports of real servers named, "
        f"most connections to a port {max(count(stood))}, most payloads {max(count(said))}")
    for trap, port, name in false:
        print(f"  false name: {trap} on tcp/{port} is {name}")
    for kind in [*traps.values(), "real"]:
        here = [place for place in opened if (trap_at(place) or "real") == kind]
        mean = lambda what: sum(len(what.get(place, ())) for place in here) / max(len(here), 1)
        table.setdefault(kind, []).extend([mean(stood), mean(said), sum(trap == kind for trap, _, _ in false)])
expected = len(traps) * 3 + len(real) * (len(traps) + 1)
if any(len(opened) != expected for opened in opened_by.values()):
    sys.exit(f"bench-identify: {expected} ports are open, found were { {name: len(opened) for name, opened in opened_by.items()} }")
print(f"{'per open port':14} {'portcullis':>32} {'nmap -sV':>32}")
print(f"{'':14} " + 2 * f"{'connections payloads false names':>32} ")
for kind, row in table.items():
    print(f"{kind:14} " + "".join(f"{a:11.1f} {b:8.1f} {c:11} " for a, b, c in (row[:3], row[3:])))
for name, value in zip(("connections_per_port", "payloads_per_port", "false_names"), figures["portcullis"]):
    print(f"figure {name} {value:.2f}" if name != "false_names" else f"figure {name} {value}")
for name, value in zip(("connections_per_port", "payloads_per_port", "false_names"), figures["nmap"]):
    print(f"# nmap_{name} {value:.2f}" if name != "false_names" else f"# nmap_{name} {value}")
P
