//! Ctrl-C: the first one asks the use-case to stop where it can, the second one ends the program at once.

use std::sync::OnceLock;

use portcullis_model::Exit;
use tokio::sync::watch;

use crate::report;

/// What is said when the program is ended at once.
static LAST_WORDS: OnceLock<String> = OnceLock::new();

/// Leaves a word for the case that the program is ended at once. The first one counts.
pub(crate) fn last_words(words: String) {
    let _ = LAST_WORDS.set(words);
}

/// Begins to listen for Ctrl-C and termination; to be called inside the runtime.
pub(crate) fn listen() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            next_signal().await;
            if asked {
                if let Some(words) = LAST_WORDS.get() {
                    report::eprintln_all(&format!("\nended at once; {words}"));
                }
                std::process::exit(i32::from(Exit::Failed.code()));
            }
            asked = true;
            report::eprintln_all("\nstopping; once more to end at once");
            // Nobody listens any more when the use-case has ended.
            let _ = sender.send(true);
        }
    });
    receiver
}

/// Waits for Ctrl-C, for the word to end, or for the terminal to close.
pub(crate) async fn next_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match (signal(SignalKind::terminate()), signal(SignalKind::hangup())) {
        (Ok(mut terminate), Ok(mut hangup)) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        }
        _ => drop(interrupt.await),
    }
}
