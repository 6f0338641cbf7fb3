//! What the processes of the plant tell each other over their standard input and output: `go`, `ready`, `ready PID`.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::Child,
};

/// Waits for the word to begin; `false` when the process above has gone.
pub(crate) fn await_go() -> bool {
    matches!(io::stdin().lock().read_line(&mut String::new()), Ok(length) if length > 0)
}

/// Tells the process above that what was started is complete.
pub(crate) fn say_ready() {
    say("ready");
}

/// Tells the process above that the plant is complete, and which process is its first.
pub(crate) fn say_ready_as(pid: u32) {
    say(&format!("ready {pid}"));
}

fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    // The process above reads one line and may have gone since.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// The one line that a child says, without its end; empty when it ended without a word.
pub(crate) fn line_of(child: &mut Child) -> String {
    child.stdout.take().map_or_else(String::new, first_line)
}

/// The first line of a pipe.
pub(crate) fn first_line(pipe: impl Read) -> String {
    let mut line = String::new();
    let _ = BufReader::new(pipe).read_line(&mut line);
    line.trim().to_owned()
}
