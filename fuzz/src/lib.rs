//! Every parser of outside bytes as a function of bytes, for two fuzzers: libFuzzer (`make fuzz`) and a short run with a
//! mutating corpus on the stable toolchain (`make fuzz-short`). A target must neither panic nor overflow nor hang, and what
//! it checks beyond that stands in it.
//!
//! ```
//! let (name, target) = portcullis_fuzz::TARGETS[0];
//! assert_eq!(name, "judge");
//! target(b"modbus-tcp tcp/502\nr\0\0\0\0\0\x03\x01\xab\x01");
//! ```

mod judges;
mod packets;
mod texts;

use portcullis_model::LogFormat;

/// A parser of outside bytes.
pub type Target = fn(&[u8]);

/// All targets, by the names of their seeds in `seeds` and of their programs in `fuzz_targets`.
pub const TARGETS: [(&str, Target); 38] = [
    ("judge", judges::judge),
    ("datagram", packets::datagram),
    ("syn-answer", packets::syn_answer),
    ("capture", packets::capture),
    ("frames", packets::frames),
    ("logged-packet", packets::logged_packet),
    ("ruleset-event", packets::ruleset_event),
    ("listing", texts::listing),
    ("nft-ruleset", texts::nft_ruleset),
    ("iptables-save", texts::iptables_save),
    ("windows-rules", texts::windows_rules),
    ("host-text", texts::host_text),
    ("import", texts::import),
    ("csaf", texts::csaf),
    ("log-lines", texts::log_lines),
    ("log-kernel", |data| texts::log_of(LogFormat::Kernel, data)),
    ("log-journal-json", |data| {
        texts::log_of(LogFormat::JournalJson, data)
    }),
    ("log-journal-export", |data| {
        texts::log_of(LogFormat::JournalExport, data)
    }),
    ("log-ulogd-json", |data| texts::log_of(LogFormat::UlogdJson, data)),
    ("log-windows", |data| texts::log_of(LogFormat::Windows, data)),
    ("log-asa", |data| texts::log_of(LogFormat::Asa, data)),
    ("log-ios", |data| texts::log_of(LogFormat::Ios, data)),
    ("log-fortigate", |data| texts::log_of(LogFormat::Fortigate, data)),
    ("log-palo-alto", |data| texts::log_of(LogFormat::PaloAlto, data)),
    ("log-filterlog", |data| texts::log_of(LogFormat::Filterlog, data)),
    ("log-junos", |data| texts::log_of(LogFormat::Junos, data)),
    ("log-mikrotik", |data| texts::log_of(LogFormat::Mikrotik, data)),
    ("log-suricata", |data| texts::log_of(LogFormat::Suricata, data)),
    ("log-zeek-tsv", |data| texts::log_of(LogFormat::ZeekTsv, data)),
    ("log-zeek-json", |data| texts::log_of(LogFormat::ZeekJson, data)),
    ("syslog-framing", texts::syslog_framing),
    ("site", texts::site),
    ("permission", texts::permission),
    ("service-file", texts::service_file),
    ("checkpoint", texts::checkpoint),
    ("target-list", texts::target_list),
    ("sensor-message", texts::sensor_message),
    ("words", texts::words),
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(own, _)| *own == name);
    found.map(|(_, target)| *target)
}

/// Text as a reader of files gives it.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
