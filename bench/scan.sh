#!/usr/bin/env bash
# Runs Portcullis and every installed scanner in turn against the same lab, several rounds, and prints what each did and
# then lines `figure NAME VALUE`. Nothing leaves the lab: two network namespaces with one cable between them, a routed /16
# behind it, 1024 hosts that answer on tcp/54321 and tcp/502, and silence (no ICMP) from all other addresses.
#
#   BENCH_ROUNDS=3        rounds
#   BENCH_INSTALL=1       installs nmap, masscan, zmap and time with apt where they are missing
#   BENCH_RUSTSCAN=1      builds RustScan with cargo where it is missing (takes minutes)
#   BENCH_ONLY='syn zmap' only runs whose name contains one of these words
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${BENCH_ROUNDS:-3}
only=${BENCH_ONLY:-}
[ "$(id -u)" = 0 ] || { echo "bench-scan: needs root, for namespaces and raw packets" >&2; exit 2; }

if [ "${BENCH_INSTALL:-0}" = 1 ]; then
  missing=()
  for tool in nmap masscan zmap time; do [ -n "$(type -P "$tool")" ] || missing+=("$tool"); done
  [ ${#missing[@]} = 0 ] || apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi
rustscan=$(command -v rustscan || echo "$HOME/.cargo/bin/rustscan")
if [ ! -x "$rustscan" ] && [ "${BENCH_RUSTSCAN:-0}" = 1 ]; then cargo install --quiet --locked rustscan; fi

cargo build --release --quiet --locked -p portcullis-scan --examples
wanted() { [ -z "$only" ] || grep -qF -f <(tr ' ' '\n' <<<"$only") <<<"$1"; }
if wanted connect-unlimited || wanted loss; then cargo build --release --quiet --locked -p portcullis-cli; fi
release=${CARGO_TARGET_DIR:-target}/release
portcullis=$(realpath --canonicalize-missing "$release/portcullis")
syn=$(realpath "$release/examples/bench_syn")
target=$(realpath "$release/examples/bench_target")

work=$(mktemp -d)
scanner=bench-$$-a silent=bench-$$-b
listener=
cleanup() {
  [ -z "$listener" ] || kill "$listener" 2>/dev/null || true
  ip netns del "$scanner" 2>/dev/null || true
  ip netns del "$silent" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

network=10.80.0.0/16
ip netns add "$scanner"
ip netns add "$silent"
ip -n "$scanner" link add wire type veth peer name wire netns "$silent"
ip -n "$scanner" addr add 10.77.0.1/30 dev wire
ip -n "$silent" addr add 10.77.0.2/30 dev wire
for space in "$scanner" "$silent"; do
  ip -n "$space" link set lo up
  ip -n "$space" link set wire up
done
ip -n "$scanner" route add "$network" via 10.77.0.2
# A blackhole drops without a word; the hosts are routes of their own in it. The first is .1, for Portcullis leaves out
# the network's own address.
ip -n "$silent" route add blackhole "$network"
for ((host = 1; host < 65536; host += 64)); do
  echo "route add local 10.80.$((host / 256)).$((host % 256))/32 dev lo"
done | ip -n "$silent" -batch -
# Portcullis scans only what a site declares.
printf '[site]\nname = "bench"\n[[zone]]\nname = "lab"\nnetworks = ["%s"]\n' "$network" >"$work/site.toml"
inside() { ip netns exec "$1" "${@:2}"; }
inside "$silent" sysctl --quiet net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wire.rp_filter=0 net.core.somaxconn=65535 \
  net.ipv4.tcp_max_syn_backlog=65535
# Connect scanners would run out of ports to look from.
inside "$scanner" sysctl --quiet net.ipv4.ip_local_port_range="10000 60999" net.ipv4.tcp_tw_reuse=1
router=$(ip -n "$silent" -brief link show wire | awk '{ print $3 }')
# Every tool knows the router from the start: zmap and masscan must be told.
ip -n "$scanner" neigh replace 10.77.0.2 lladdr "$router" dev wire nud permanent
ip netns exec "$silent" "$target" listen 54321 502 &
listener=$!
ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -Hn)"

results=$work/results
echo "name wall packets peak span found memory_kib waited" >"$results"

# measure NAME WAITED FOUND-COMMAND -- COMMAND…: one run, with its packets counted at the target. WAITED are the seconds
# that the tool waits at its end by design.
measure() {
  local name=$1 waited=$2 found=$3
  shift 4
  wanted "$name" || return 0
  local pipe=$work/pipe
  rm -f "$pipe" "$work"/out*
  mkfifo "$pipe"
  ip netns exec "$silent" "$target" watch wire <"$pipe" >"$work/counted" &
  local counter=$!
  exec 9>"$pipe"
  sleep 0.3
  timeout --kill-after=5 "${BENCH_LIMIT:-120}" ip netns exec "$scanner" /usr/bin/time -q -o "$work/time" -f '%e %M' "$@" \
    >"$work/out" 2>"$work/err" </dev/null 9>&- || echo "  $name ended with $?: $(tail -n 1 "$work/err")" >&2
  sleep 0.2
  exec 9>&-
  wait "$counter"
  local wall memory packets peak span
  read -r wall memory < <(tail -n 1 "$work/time")
  read -r _ packets _ peak _ span <"$work/counted"
  local count
  count=$(eval "$found" || true)
  echo "$name $wall $packets $peak $span ${count:-0} $memory $waited" | tee -a "$results" |
    awk '{ printf "  %-24s wall %7.2f s  packets %7d  peak %8d/s  mean %8d/s  found %5d  memory %7.1f MiB\n",
      $1, $2, $3, $4, ($5 > 0 ? $3 / $5 : 0), $6, $7 / 1024 }'
}

# whole_scan MODE RATE NAME: the program itself, with its store, its canaries and its second look.
whole_scan() {
  measure "$3" 0 "grep -c '\"state\":\"open\"' $work/out" -- "$portcullis" scan --quiet --format jsonl --mode "$1" \
    --config "$work/site.toml" --store "$work/$3-$round.sqlite" --rate "$(rate "$2")" --ports 54321 "$network"
}

# lossy PERCENT: so much of what leaves the target is lost; 0 takes that back. (netem is not in every kernel.)
lossy() {
  inside "$silent" nft delete table inet loss 2>/dev/null || true
  [ "$1" = 0 ] || inside "$silent" nft -f - <<<"table inet loss {
    chain out { type filter hook output priority 0; policy accept; oif wire numgen random mod 100 < $1 counter drop; }
  }"
}

# in_doubt: what the last run itself says of what it may have missed.
in_doubt() { grep -o '"in_doubt":\[[^]]*\]' "$work/out" | tail -n 1 | grep -c first || true; }

# Live hosts under loss: each must be found, or the run must say that it is in doubt.
lossy_round() {
  local percent mode found doubt
  for percent in 1 5 10; do
    lossy "$percent"
    for mode in connect syn; do
      whole_scan "$mode" unlimited "$mode-loss-$percent"
      wanted "$mode-loss-$percent" || continue
      found=$(awk -v name="$mode-loss-$percent" '$1 == name { found = $6 } END { print found }' "$results")
      doubt=$(in_doubt)
      echo "    $percent % lost, $mode: $found of 1024, in doubt: $([ "$doubt" = 0 ] && echo no || echo yes), $(grep -o '"loss":{[^}]*}' "$work/out" | tail -n 1)"
    done
  done
  lossy 0
}

rate() { [ "$1" = unlimited ] && echo 0 || echo "$1"; }
one_round() {
  local rate
  for rate in unlimited 100000 10000; do
    measure "syn-$rate" 0.95 "sed -n 's/.* open \([0-9]*\).*/\1/p' $work/out" -- "$syn" "$(rate "$rate")" 20 54321 "$network"
    if command -v zmap >/dev/null; then
      # Debian's list of what not to scan has every private network on it.
      measure "zmap-$rate" 3 "sort -u $work/out | grep -c '^10\.'" -- zmap --quiet --blacklist-file=/dev/null \
        --interface=wire --gateway-mac="$router" --source-ip=10.77.0.1 --cooldown-time=3 --rate="$(rate "$rate")" \
        --target-port=54321 --output-fields=saddr --output-module=csv "$network"
    fi
    if command -v masscan >/dev/null; then
      local most=$rate
      [ "$rate" = unlimited ] && most=10000000
      measure "masscan-$rate" 3 "sort -u $work/out | grep -c '^Discovered'" -- timeout 25 masscan --interface wire \
        --source-ip 10.77.0.1 --router-mac "${router//:/-}" --rate "$most" --wait 3 -p54321 "$network"
    fi
  done
  for rate in unlimited 100000 10000; do
    whole_scan connect "$rate" "connect-$rate"
  done
  if [ -x "$rustscan" ]; then
    measure rustscan-15000 0 "grep -c '^10\.' $work/out" -- "$rustscan" --no-config --greppable --accessible \
      --batch-size 15000 --ulimit 65535 --timeout 1000 --addresses "$network" --ports 54321
  fi
  if command -v nmap >/dev/null; then
    measure nmap-5000 0 "grep -c '54321/open/' $work/out" -- nmap -n -Pn -sS --min-rate 5000 --max-retries 1 -p54321 \
      -oG - "$network"
  fi
}

echo "kernel $(uname -r), $(nproc) processors, $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), $(date --utc +%F)"
for ((round = 1; round <= rounds; round++)); do
  echo "round $round of $rounds"
  one_round
  lossy_round
done

# median NAME COLUMN, where `net` is the wall time without the wait, and `mean` packets per second while they came.
median() {
  awk -v name="$1" -v column="$2" '
    $1 == name {
      value = (column == "net") ? $2 - $8 : (column == "mean") ? (($5 > 0) ? $3 / $5 : 0) : $column
      values[++count] = value + 0
    }
    END {
      if (!count) exit
      for (i = 2; i <= count; i++)
        for (j = i; j > 1 && values[j] < values[j - 1]; j--) { t = values[j]; values[j] = values[j - 1]; values[j - 1] = t }
      printf "%.4f", (values[int((count + 1) / 2)] + values[int(count / 2) + 1]) / 2
    }' "$results"
}
figure() { [ -z "${2:-}" ] || echo "figure $1 $2"; }
ratio() { [ -z "$1" ] || [ -z "$2" ] || awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.3f", a / b }'; }
# The runs with loss are counted by themselves.
least() { awk -v name="$1" 'index($1, name) == 1 && (index(name, "loss") || !index($1, "loss")) { if (!seen++ || $6 < least) least = $6 } END { if (seen) print least }' "$results"; }

figure recall_syn "$(ratio "$(least syn-)" 1024)"
figure recall_connect "$(ratio "$(least connect-)" 1024)"
for percent in 1 5 10; do
  figure "recall_syn_loss_$percent" "$(ratio "$(least "syn-loss-$percent")" 1024)"
  figure "recall_connect_loss_$percent" "$(ratio "$(least "connect-loss-$percent")" 1024)"
done
figure syn_pps_vs_zmap "$(ratio "$(median syn-unlimited mean)" "$(median zmap-unlimited mean)")"
figure syn_wall_vs_zmap "$(ratio "$(median syn-unlimited net)" "$(median zmap-unlimited net)")"
figure connect_wall_vs_rustscan "$(ratio "$(median connect-unlimited 2)" "$(median rustscan-15000 2)")"
# The worst of all rounds and rates: a cap holds always or not at all.
figure peak_100ms_vs_set "$(awk '$1 ~ /^(syn|connect)-[0-9]/ { split($1, part, "-"); now = $4 / part[2]; if (now > worst) worst = now }
  END { if (worst) printf "%.3f", worst }' "$results")"
for mode in syn connect; do
  figure "memory_mib_$mode" "$(awk -v mode="$mode-" 'index($1, mode) == 1 && $7 > most { most = $7 }
    END { if (most) printf "%.1f", most / 1024 }' "$results")"
done
