#!/bin/bash
# Peak memory and speed of `portcullis import` with 200 MB of each format, made here. Prints `figure NAME VALUE`.
# Not a timed test: it fails only when it cannot measure, or when the memory is more than the bound.
set -euo pipefail
cd "$(dirname "$0")/.."
SIZE=${SIZE:-200000000}
BOUND_MIB=${BOUND_MIB:-64}
program=${PORTCULLIS:-}
if [ -z "$program" ]; then
    cargo build --quiet --locked --release -p portcullis-cli
    program=${CARGO_TARGET_DIR:-target}/release/portcullis
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

make_document() {
    awk -v format="$1" -v size="$SIZE" 'BEGIN {
        if (format == "nmap") print "<nmaprun scanner=\"nmap\" start=\"1700000000\">"
        if (format == "masscan") print "["
        if (format == "nessus") print "<NessusClientData_v2><Report>"
        if (format == "zeek") print "#fields\tts\tid.orig_h\tid.resp_h\tid.resp_p\tproto\tconn_state\thistory"
        pad = "x"; while (length(pad) < 3000) pad = pad pad
        for (n = 0; made < size; n++) {
            ip = "10." int(n / 65536) % 256 "." int(n / 256) % 256 "." n % 256
            if (format == "nmap") line = "<host endtime=\"1700000000\"><address addr=\"" ip "\" addrtype=\"ipv4\"/><ports><port protocol=\"tcp\" portid=\"502\"><state state=\"open\" reason=\"syn-ack\"/><service name=\"mbap\" method=\"table\"/><script id=\"x\" output=\"" pad "\"/></port></ports></host>"
            if (format == "masscan") line = "{ \"ip\": \"10.7." int(n / 256) % 16 "." n % 256 "\", \"timestamp\": \"1700000000\", \"ports\": [ {\"port\": 502, \"proto\": \"tcp\", \"status\": \"open\", \"reason\": \"syn-ack\", \"ttl\": 64} ] },"
            if (format == "nessus") line = "<ReportHost name=\"" ip "\"><HostProperties><tag name=\"HOST_END_TIMESTAMP\">1700000000</tag></HostProperties><ReportItem port=\"502\" svc_name=\"x\" protocol=\"tcp\" severity=\"0\" pluginID=\"11219\" pluginName=\"x\"><plugin_output>" pad "</plugin_output></ReportItem></ReportHost>"
            if (format == "zeek") line = "17000" sprintf("%05d", n % 100000) ".5\t10.7.20." n % 16 "\t10.7.10." int(n / 16) % 256 "\t502\ttcp\tSF\tShADadFf"
            print line
            made += length(line) + 1
        }
        if (format == "nmap") print "</nmaprun>"
        if (format == "masscan") print "]"
        if (format == "nessus") print "</Report></NessusClientData_v2>"
    }'
}

worst=0
for format in nmap masscan nessus zeek; do
    make_document "$format" > "$folder/document"
    bytes=$(stat -c %s "$folder/document")
    begun=$(date +%s.%N)
    # The kernel keeps the peak of the largest child that was waited for.
    peak=$(python3 - "$program" "$folder" <<'P'
import resource, subprocess, sys
program, folder = sys.argv[1:]
subprocess.run([program, "--quiet", "--store", f"{folder}/store.sqlite", "import", f"{folder}/document"], check=True, stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
P
)
    ended=$(date +%s.%N)
    rm -f "$folder"/store.sqlite* "$folder/document"
    echo "figure import_memory_mib_$format $peak"
    echo "figure import_mb_per_s_$format $(awk "BEGIN { printf \"%.1f\", $bytes / 1e6 / ($ended - $begun) }")"
    [ "$peak" -gt "$worst" ] && worst=$peak
done
echo "figure import_memory_mib $worst"
if [ "$worst" -gt "$BOUND_MIB" ]; then
    echo "more than $BOUND_MIB MiB" >&2
    exit 1
fi
