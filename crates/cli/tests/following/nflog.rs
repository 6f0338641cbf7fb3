//! A log group of the kernel, in a network namespace of its own.

use std::{fs, process::Command};

use crate::{PORTCULLIS, gaps, stored};

/// Runs a script in a network namespace, with a rule that logs what goes to port 4000 of it to group 7.
fn in_a_namespace(folder: &std::path::Path, script: &str) {
    let script = format!(
        r#"
        set -e
        ip link set lo up
        nft 'add table inet t; add chain inet t i {{ type filter hook input priority 0; }};
             add rule inet t i udp dport 4000 log prefix "portcullis-drop" group 7 queue-threshold 1 drop'
        follow() {{ "$PORTCULLIS" --store "$STORE" logs --follow --no-events --nflog 7 --for "$1" >> "$SAID" 2>&1; }}
        listening() {{
            for _ in $(seq 200); do
                if [ "$(grep -c listening "$SAID")" -ge "$1" ]; then return; fi
                sleep 0.1
            done
            exit 9
        }}
        sent() {{ python3 -c "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range($1): s.sendto(b'x', ('127.0.0.1', 4000))"; }}
        {script}
    "#
    );
    fs::write(folder.join("said"), "").unwrap();
    // Root needs no user namespace, and in a changed root the kernel gives none.
    let root = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0;
    let apart: &[&str] = if root { &[] } else { &["--user", "--map-root-user"] };
    let ran = Command::new("unshare")
        .args(apart)
        .args(["--net", "bash", "-c", &script])
        .env("PORTCULLIS", PORTCULLIS)
        .env("STORE", folder.join("x.db"))
        .env("SAID", folder.join("said"))
        .output()
        .unwrap();
    let said = fs::read_to_string(folder.join("said")).unwrap();
    assert!(ran.status.success(), "{ran:?} {said}");
}

#[test]
fn logged_packets_are_counted_once_and_what_nobody_heard_is_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    in_a_namespace(
        folder.path(),
        r#"
        follow 20s & follower=$!
        listening 1
        sent 300
        sleep 2
        kill -9 $(pgrep -P $follower || echo $follower) 2>/dev/null || true
        wait $follower || true
        sent 50
        follow 4s & follower=$!
        listening 2
        sent 20
        wait $follower
        "#,
    );
    let (stream, events) = stored(&folder.path().join("x.db"), "nflog:7").unwrap();
    assert_eq!((stream.lines, events, stream.unreadable), (320, 320, 0));
    let gaps = gaps(&folder.path().join("x.db"), "nflog:7");
    assert!(
        gaps.len() == 1 && gaps[0].starts_with("nobody listened to log group 7 from 20"),
        "{gaps:?}"
    );
}

#[test]
fn what_the_kernel_threw_away_is_a_gap_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    in_a_namespace(
        folder.path(),
        r#"
        follow 60s & follower=$!
        listening 1
        own=$(pgrep -P $follower || echo $follower)
        kill -STOP $own
        sent 60000
        kill -CONT $own
        for _ in $(seq 200); do
            if grep -q "the next one tells" "$SAID"; then break; fi
            sleep 0.1
        done
        sent 10
        for _ in $(seq 200); do
            if grep -q "threw away [0-9]" "$SAID"; then break; fi
            sleep 0.1
        done
        sleep 1
        kill -INT $own
        wait $follower || true
        "#,
    );
    let (stream, events) = stored(&folder.path().join("x.db"), "nflog:7").unwrap();
    let gaps = gaps(&folder.path().join("x.db"), "nflog:7");
    let lost: u64 = gaps
        .iter()
        .filter_map(|gap| gap.strip_prefix("the kernel threw away "))
        .filter_map(|gap| gap.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!(lost > 0, "all of them fitted: {gaps:?}");
    assert_eq!((events, stream.lines + lost), (stream.lines, 60_010), "{gaps:?}");
}
