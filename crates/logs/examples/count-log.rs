//! Reads a log as `portcullis logs` does, and nothing else: `count-log FILE [THREADS [FORMAT]]`. For a profile.

use std::{fs::File, io, process::ExitCode, time::Instant};

use jiff::{Timestamp, tz::TimeZone};
use portcullis_logs::{Prefixes, Settings, Shared, Summary, TimeContext, decoded, read_log};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, more @ ..] = arguments.as_slice() else {
        return Ok(ExitCode::from(2));
    };
    let threads = more.first().and_then(|text| text.parse().ok()).unwrap_or(2);
    let settings = Settings {
        time: TimeContext {
            now: Timestamp::now(),
            timezone: TimeZone::UTC,
            file_modified: None,
            years: Default::default(),
        },
        prefixes: Prefixes::default(),
        format: more.get(1).and_then(|text| text.parse().ok()),
    };
    let shared = Shared::new(Summary::of_all_ports());
    let begin = Instant::now();
    let read = read_log(
        decoded(File::open(path)?)?,
        path,
        &settings,
        &mut shared.counters(threads),
    );
    let report = shared.into_summary().report(10);
    let mega = begin.elapsed().as_secs_f64() * 1e6;
    let told = format!(
        "{:.0} MB/s, {:.2} million lines/s, {} attempts, {} sources, {} unreadable, {} unrelated\n",
        read.bytes as f64 / mega,
        read.lines as f64 / mega,
        report.attempts,
        report.distinct_sources,
        report.unreadable,
        report.unrelated
    );
    io::Write::write_all(&mut io::stdout(), told.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
