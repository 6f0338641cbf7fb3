#!/bin/bash
# Speed and peak memory of `portcullis capture` beside tshark and tcpdump, which count the same capture, made here. Prints
# `figure NAME VALUE`. Not a timed test: it fails only when it cannot measure.
#   SIZE          bytes of the capture [320000000]
#   ROUNDS        how often each program runs [5]
#   PORTCULLIS    the program, when it is built already
#   BENCH_INSTALL=1 installs tshark and tcpdump with apt when they are missing
set -euo pipefail
cd "$(dirname "$0")/.."
SIZE=${SIZE:-320000000}
ROUNDS=${ROUNDS:-5}
if [ "${BENCH_INSTALL:-}" = 1 ]; then
    for tool in tshark tcpdump; do
        command -v "$tool" > /dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$tool" > /dev/null
    done
fi
target=${CARGO_TARGET_DIR:-target}/release
program=${PORTCULLIS:-}
if [ -z "$program" ]; then
    cargo build --quiet --locked --release -p portcullis-cli
    program=$target/portcullis
fi
cargo build --quiet --locked --release -p portcullis-capture --example plant
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$target/examples/plant" "$SIZE" > "$folder/plant.pcap"

python3 - "$program" "$folder" "$ROUNDS" <<'P'
import json, os, shutil, statistics, subprocess, sys, time
program, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
capture = f"{folder}/plant.pcap"
size = os.path.getsize(capture)

def run(name, command):
    with open(f"{folder}/{name}.out", "w") as out:
        begun = time.monotonic()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        took = time.monotonic() - begun
    # 3 is "done in part", which is told below.
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        sys.exit(f"{name} failed")
    return took, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime

def own():
    for path in os.listdir(folder):
        if path.startswith("store"):
            target = f"{folder}/{path}"
            shutil.rmtree(target) if os.path.isdir(target) else os.remove(target)
    return [program, "--quiet", "--store", f"{folder}/store.sqlite", "capture", capture]

tools = {
    "portcullis": own,
    "tcpdump_count": lambda: ["tcpdump", "-n", "--count", "-r", capture],
    "tcpdump_print": lambda: ["tcpdump", "-n", "-q", "-t", "-r", capture],
    "tshark": lambda: ["tshark", "-n", "-q", "-r", capture, "-z", "conv,tcp", "-z", "conv,udp"],
}
tools = {name: command for name, command in tools.items() if shutil.which(command()[0])}
run("warm", own())
results = {name: [] for name in tools}
for number in range(rounds):
    for name, command in tools.items():
        results[name].append(run(name, command()))
subprocess.run(own()[:1] + ["--quiet", "--format", "jsonl", "--store", f"{folder}/store2.sqlite", "capture", capture],
    stdout=open(f"{folder}/sum", "w"), check=False)
with open(f"{folder}/sum") as lines:
    total = json.loads(list(lines)[-1])
packets = total["frames"]
print(f"{size / 1e6:.0f} MB, {packets} packets, {total['conversations']} conversations, {total['observations']} observations, left out: {total['left_out']}")
print(f"{'':14} {'wall s':>7} {'cpu s':>7} {'packets/s':>11} {'MB/s':>7} {'MiB':>7}")
wall = {}
for name, runs in results.items():
    wall[name] = statistics.median(took for took, _, _ in runs)
    cpu = statistics.median(cpu for _, _, cpu in runs)
    memory = max(memory for _, memory, _ in runs)
    print(f"{name:14} {wall[name]:7.2f} {cpu:7.2f} {packets / wall[name]:11.0f} {size / 1e6 / wall[name]:7.0f} {memory:7.1f}")
if "tshark" in wall:
    print(f"figure capture_pps_vs_tshark {wall['tshark'] / wall['portcullis']:.1f}")
if "tcpdump_count" in wall:
    print(f"figure capture_pps_vs_tcpdump {wall['tcpdump_count'] / wall['portcullis']:.2f}")
print(f"figure capture_memory_mib {max(memory for _, memory, _ in results['portcullis']):.1f}")
P
