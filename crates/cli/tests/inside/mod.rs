//! A part of the test programs whose tests need a network of their own.

use std::process::Command;

const INSIDE: &str = "PORTCULLIS_TEST_INSIDE";

/// Runs this test again as root of a new network, in which it goes on; the one who asks has nothing left to do.
pub(crate) fn inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    // Root needs no user namespace, and in a changed root the kernel gives none.
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    let apart: &[&str] = if root {
        &["--net", "--"]
    } else {
        &["--user", "--map-root-user", "--net", "--"]
    };
    let output = Command::new("unshare")
        .args(apart)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let figures = said.lines().filter(|line| line.starts_with("figure "));
    figures.for_each(|line| println!("{line}"));
    false
}
