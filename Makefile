# Two commands matter: `make demo` and `make test`. Both install what is missing (see scripts/setup).
.DEFAULT_GOAL := help
SHELL := /bin/bash
export CARGO_TERM_PROGRESS_WHEN ?= never

.PHONY: help setup build demo test fuzz fuzz-short bench-scan crash-firewall soak-scan bench-import bench-capture bench-identify bench-logs bench-reach diff-reach clean

help:
	@echo 'make demo   build, then run the whole loop in a miniature plant on this machine'
	@echo 'make test   format, lints, and every test'
	@echo 'make build  build target/debug/portcullis'
	@echo 'make fuzz-short  every parser of outside bytes, FUZZ_SECONDS each on the stable toolchain (part of make test)'
	@echo 'make fuzz    the same with libFuzzer (nightly toolchain, C++ compiler), FUZZ_SECONDS each'
	@echo 'make bench-scan  measure the scan engine against the installed scanners (root; minutes)'
	@echo 'make crash-firewall  kill firewall changes at CRASHES (200) moments and after every step in every firewall system (hours)'
	@echo 'make soak-scan   kill and resume scans, and scan a silent wire, many times (half an hour)'
	@echo 'make bench-import  measure the memory of imports of 200 MB (minutes)'
	@echo 'make bench-identify  count connections, payloads and false names beside nmap -sV (root; minutes)'
	@echo 'make diff-reach  hold the model of the packet filter against the kernel: PAIRS (100000) random pairs, SEED at random (minutes)'
	@echo 'make bench-reach  measure time and memory of the question who reaches a port, over rulesets of 100 to 100000 rules (a minute)'
	@echo 'make bench-logs  measure the reading of firewall logs against rg, wc, mawk and fail2ban-regex: BENCH_SIZE (1 GiB) (minutes)'
	@echo 'make bench-capture  measure the reading of captures against tshark and tcpdump (minutes)'

setup:
	@scripts/setup

build: setup
	cargo build --quiet --locked -p portcullis-cli

demo: build
	target/debug/portcullis lab run

# What the tests of the lab keep of what the program sends, for the last of them to look through.
packets := $(abspath $(or $(CARGO_TARGET_DIR),target))/packets
# The tests of the lab mostly wait: for trials that end, for silence.
test_threads := $(or $(RUST_TEST_THREADS),$(shell echo $$((2 * $$(nproc)))))
test: setup
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	rm -rf "$(packets)" && mkdir -p "$(packets)"
	RUST_TEST_THREADS=$(test_threads) PORTCULLIS_TEST_PACKETS="$(packets)" scripts/with-namespaces cargo test --quiet --locked --workspace
	@$(MAKE) --no-print-directory fuzz-short

# The fuzz targets stand outside the workspace and share its folder of built things.
in_fuzz := cd fuzz && CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-$(CURDIR)/target}"

fuzz-short:
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	$(in_fuzz) cargo clippy --quiet --locked --all-targets -- -D warnings
	$(in_fuzz) cargo test --quiet --locked
	$(in_fuzz) cargo run --quiet --locked --bin fuzz-short -- $(or $(FUZZ_SECONDS),1)

fuzz:
	@scripts/fuzz $(or $(FUZZ_SECONDS),60)

# Not a timed test: it prints what it measured and fails only when it cannot measure.
bench-scan:
	@BENCH_INSTALL=1 bench/scan.sh

crash-firewall: setup
	PORTCULLIS_TEST_CRASHES=$(or $(CRASHES),200) scripts/with-namespaces cargo test --quiet --locked -p portcullis-cli --test lab -- --nocapture crash:: remote::a_connection

soak-scan: setup
	@bench/soak-scan.sh

bench-import:
	@bench/import.sh

bench-capture:
	@BENCH_INSTALL=1 bench/capture.sh

bench-identify:
	@BENCH_INSTALL=1 bench/identify.sh

bench-logs:
	@BENCH_INSTALL=1 bench/logs.sh

diff-reach: setup
	PORTCULLIS_TEST_REACH_PAIRS=$(or $(PAIRS),100000) PORTCULLIS_TEST_REACH_SEED=$(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')) \
		scripts/with-namespaces cargo test --quiet --locked -p portcullis-cli --test reaching -- --nocapture

bench-reach: setup
	cargo run --quiet --locked --release -p portcullis-firewall --example bench-reach

clean:
	cargo clean --quiet
