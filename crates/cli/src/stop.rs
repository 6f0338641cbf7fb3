//! Ctrl-C: the first one asks the use-case to stop where it can, the second one ends the program at once.

use portcullis_model::Exit;
use tokio::sync::watch;

use crate::report;

/// Begins to listen for Ctrl-C and termination; to be called inside the runtime.
pub(crate) fn listen() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            next_signal().await;
            if asked {
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
