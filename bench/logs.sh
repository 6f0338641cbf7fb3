#!/bin/bash
# Speed and peak memory of `portcullis logs` over logs that are made here, of mixed lines and of each format, beside `rg -c`,
# `wc -l`, a mawk group-by and fail2ban-regex over the kernel's, and of following into a store. Prints `figure NAME VALUE`. Not a timed test: it fails only when
# it cannot measure.
#   BENCH_SIZE    bytes of the kernel's and of the mixed log [1073741824]; the others have a quarter, at most
#   ROUNDS        how often each runs [5]; the best is told, with the spread
#   FOLDER        where the logs are made, best in memory [/dev/shm, else a folder of its own]
#   PORTCULLIS, MAKE_LOG  the program and the example that makes the logs, when they are built already
#   BENCH_INSTALL=1 installs ripgrep and mawk with apt when they are missing, and fail2ban into the folder of the build
set -euo pipefail
cd "$(dirname "$0")/.."
SIZE=${BENCH_SIZE:-1073741824}
ROUNDS=${ROUNDS:-5}
target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
if [ "${BENCH_INSTALL:-}" = 1 ]; then
    for pair in rg:ripgrep mawk:mawk; do
        command -v "${pair%%:*}" > /dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${pair##*:}" > /dev/null || true
    done
    # Unpacked, not installed: installed, it would begin to watch this machine.
    if [ ! -x "$target/tools/fail2ban/usr/bin/fail2ban-regex" ]; then
        mkdir -p "$target/tools/fail2ban"
        (cd "$target/tools/fail2ban" && apt-get -qq -o APT::Sandbox::User=root download fail2ban > /dev/null 2>&1 && dpkg-deb -x fail2ban_*.deb .) || true
    fi
fi
program=${PORTCULLIS:-}
if [ -z "$program" ]; then
    cargo build --quiet --locked --release -p portcullis-cli
    program=$target/release/portcullis
fi
make=${MAKE_LOG:-}
if [ -z "$make" ]; then
    cargo build --quiet --locked --release -p portcullis-logs --example make-log
    make=$target/release/examples/make-log
fi
base=${FOLDER:-/dev/shm}
[ -w "$base" ] && [ "$(df --output=avail -B1 "$base" | tail -1)" -gt $((SIZE * 3 / 2)) ] || base=$(dirname "$(mktemp -u)")
folder=$(mktemp -d "$base/bench-logs.XXXXXX")
trap 'rm -rf "$folder"' EXIT

python3 - "$program" "$folder" "$ROUNDS" "$SIZE" "$target" "$make" <<'P'
import contextlib, json, os, shutil, signal, sqlite3, subprocess, sys, time
program, folder, rounds, size, target = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
make = sys.argv[6]

def log(name, bytes, *more):
    path = f"{folder}/{name}"
    with open(path, "wb") as out:
        subprocess.run([make, name, str(bytes), *map(str, more)], check=True, stdout=out)
    return path

def run(command, extra=None):
    begun = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **(extra or {})})
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    took = time.monotonic() - begun
    # 3 is "done in part".
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        sys.exit(f"{command[0]} failed")
    return took, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, out

def own(path):
    return [program, "--quiet", "--format", "json", "--store", f"{folder}/store.sqlite", "logs", path]

def told(name, path, results, lines):
    best = min(took for took, *_ in results)
    worst = max(took for took, *_ in results)
    cpu = min(cpu for _, _, cpu, _ in results)
    memory = max(memory for _, memory, *_ in results)
    bytes = os.path.getsize(path)
    print(f"{name:16} {bytes / best / 1e9:8.3f} {bytes / worst / 1e9:8.3f} {lines / best / 1e6:12.2f} {cpu:8.2f} {memory:8.1f}", flush=True)
    return bytes / best, memory

def measure(name, path, times):
    results = [run(own(path)) for _ in range(times)]
    report = json.loads(results[0][3])
    report = report[0] if isinstance(report, list) else report.get("records", [report])[0]
    if report["unreadable"] or not report["attempts"]:
        sys.exit(f"{name}: {report['unreadable']} lines could not be read, {report['attempts']} attempts")
    lines = int(subprocess.run(["wc", "-l", path], check=True, capture_output=True).stdout.split()[0])
    return told(name, path, results, lines)

print(f"{'':16} {'GB/s':>8} {'worst':>8} {'Mlines/s':>12} {'cpu s':>8} {'MiB':>8}")
path = log("kernel", size)
lines = int(subprocess.run(["wc", "-l", path], check=True, capture_output=True).stdout.split()[0])
group = '{ for (i = 1; i <= NF; i++) if (substr($i, 1, 4) == "SRC=") { count[$i]++; break } } END { for (s in count) n++; print n }'
regex = f"{target}/tools/fail2ban/usr/bin/fail2ban-regex"
peers = {
    "portcullis": (own(path), None),
    "wc -l": (["wc", "-l", path], None),
    "rg -c": (["rg", "-c", "--no-config", "-F", "UFW BLOCK", path], None),
    "mawk group-by": (["mawk", group, path], None),
}
peers = {name: peer for name, peer in peers.items() if shutil.which(peer[0][0])}
run(own(path))
results = {name: [] for name in peers}
# In turn, so that what else runs on the machine meets all of them.
for _ in range(rounds):
    for name, (command, extra) in peers.items():
        results[name].append(run(command, extra))
speed = {name: told(name, path, results[name], lines)[0] for name in peers}
memory = [max(memory for _, memory, *_ in results["portcullis"])]
if os.path.exists(regex):
    # It is so slow that a small part is enough.
    small = f"{folder}/small"
    with open(path, "rb") as all, open(small, "wb") as out:
        part = all.read(min(size, 20_000_000))
        out.write(part[: part.rfind(b"\n") + 1])
    failregex = r"^\s*\S+ kernel: \[[\d.]+\] \[UFW BLOCK\] IN=\S* OUT=\S* (?:MAC=\S* )?SRC=<HOST> "
    command = ["python3", regex, "--print-no-missed", "-l", "CRITICAL", small, failregex]
    found = run(command, {"PYTHONPATH": f"{target}/tools/fail2ban/usr/lib/python3/dist-packages"})
    speed["fail2ban-regex"] = told("fail2ban-regex", small, [found], part.count(b"\n"))[0]
else:
    print("fail2ban-regex is not there: not compared")
if shutil.which("crowdsec") is None:
    print("crowdsec is not there: not compared")
os.remove(path)

formats = {}
for name in ["mixed", "journal-json", "journal-export", "ulogd-json", "windows", "asa", "ios", "fortigate", "palo-alto", "filterlog",
             "junos", "mikrotik", "suricata", "zeek-tsv", "zeek-json"]:
    path = log(name, size if name == "mixed" else size // 4)
    formats[name], peak = measure(name, path, max(2, rounds - 2))
    memory.append(peak)
    os.remove(path)
path = log("kernel", size, 1_000_000 * 20)
print("a million sources:")
_, peak = measure("kernel", path, 1)
memory.append(peak)
os.remove(path)

# Into the store, from the start of the program until the last line is counted: sources in turn, so that where they are many each
# commit has a row for nearly every line.
def follow(name, sources):
    count, path, store = 2_000_000, f"{folder}/follow.log", f"{folder}/{name}.sqlite"
    with open(path, "w") as out:
        for n in range(count):
            s = n % sources
            out.write(f"2026-11-22T12:{n // 60 % 60:02}:{n % 60:02}+00:00 gw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=10.{s >> 16}.{s >> 8 & 255}.{s & 255} "
                      f"DST=10.7.10.4 LEN=60 TTL=64 ID={n % 65536} PROTO=TCP SPT=40000 DPT=54321 SYN\n")
    def once():
        for end in ["", "-wal", "-shm"]:
            if os.path.exists(store + end):
                os.remove(store + end)
        begun = time.monotonic()
        child = subprocess.Popen([program, "--quiet", "--store", store, "logs", "--follow", "--no-events", path], stdout=subprocess.DEVNULL)
        lines = 0
        while lines < count:
            time.sleep(0.01)
            if child.poll() is not None or time.monotonic() - begun > 600:
                sys.exit(f"{name}: it ended or hung at {lines} lines")
            try:
                with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as reader:
                    lines = (reader.execute("SELECT lines FROM log_stream").fetchone() or [0])[0]
            except sqlite3.Error:
                pass
        took = time.monotonic() - begun
        child.send_signal(signal.SIGINT)
        _, _, usage = os.wait4(child.pid, 0)
        return took, usage.ru_maxrss / 1024
    results = [once() for _ in range(max(2, rounds - 2))]
    os.remove(path)
    took, peak = min(took for took, _ in results), max(peak for _, peak in results)
    print(f"{name:30} {count / took / 1e6:8.3f} Mlines/s (worst {count / max(took for took, _ in results) / 1e6:.3f}) {peak:8.1f} MiB", flush=True)
    return count / took, peak

followed, peak = follow("follow", 1000)
followed_100k, peak_100k = follow("follow_100k_sources", 100_000)
print(f"figure follow_lines_per_s {followed:.0f}")
print(f"figure follow_100k_sources_lines_per_s {followed_100k:.0f}")
print(f"figure follow_memory_mib {max(peak, peak_100k):.1f}")
print(f"figure kernel_gb_per_s {speed['portcullis'] / 1e9:.3f}")
for name, figure in [("mawk group-by", "vs_mawk"), ("rg -c", "vs_rg"), ("wc -l", "vs_wc"), ("fail2ban-regex", "vs_fail2ban")]:
    if name in speed:
        print(f"figure {figure} {speed['portcullis'] / speed[name]:.3f}")
slowest = min(formats, key=formats.get)
print(f"figure mixed_mb_per_s {formats['mixed'] / 1e6:.0f}")
print(f"the slowest format is {slowest}")
print(f"figure slowest_format_mb_per_s {formats[slowest] / 1e6:.0f}")
print(f"figure memory_mib {max(memory):.1f}")
P
