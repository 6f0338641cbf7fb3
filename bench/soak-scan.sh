#!/usr/bin/env bash
# Kills scans at random moments and lets them go on, and looks into a silent wire, many times; prints lines
# `figure NAME VALUE`: `resume_same`, the runs whose result was that of an undisturbed one, and `silent_ended`, the runs that
# ended in time. All of it in network namespaces that the tests make.
#
#   SOAK_RUNS=50   kills in each mode, and looks into the silent wire in each mode
set -euo pipefail
cd "$(dirname "$0")/.."
export PORTCULLIS_SOAK=${SOAK_RUNS:-50}
for test in resume:: ends::on_a_silent_wire; do
  scripts/with-namespaces timeout --kill-after=5 3600 \
    cargo test --quiet --locked -p portcullis-cli --test lab -- --nocapture "$test" | grep --text -o 'figure .*'
done
