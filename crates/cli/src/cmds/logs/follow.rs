//! `portcullis logs --follow FILE…`

use portcullis_model::{Fault, sanitize};
use portcullis_ops::logs::{self, Followed, How, Report, Request, Told};

use super::{Frame, fault, print, signs::Signs};
use crate::{arguments::Logs, report};

/// Follows the files until the time is over or Ctrl-C.
pub(super) async fn run(
    frame: &Frame<'_>,
    arguments: &Logs,
    request: &Request,
    signs: &mut Signs,
) -> Result<Report, Box<dyn Fault>> {
    let format = frame.format();
    let how = How {
        patience: arguments.patience,
        events: !arguments.no_events || arguments.signs,
    };
    frame.say("following; Ctrl-C ends, and the next time goes on from there");
    let mut told = |told: Told<'_>| match told {
        Told::Event(event) => {
            signs.add(event, Some(format));
            if !arguments.no_events {
                print(event, format);
            }
        }
        Told::Gap(gap) => report::eprintln_all(&format!("gap: {}", sanitize(gap))),
        Told::Waiting(Some(error)) => {
            report::remark(error);
            report::eprintln_all("waiting until the store takes more; nothing is lost meanwhile");
        }
        Told::Waiting(None) => report::eprintln_all("the store takes more again"),
    };
    let what: Vec<Followed> = arguments.files.iter().cloned().map(Followed::File).collect();
    logs::follow(frame.desk, request, &what, how, &frame.stop, &mut told)
        .await
        .map_err(fault)
}
