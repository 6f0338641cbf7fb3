//! `portcullis logs --follow`

use std::path::PathBuf;

use portcullis_model::{Fault, sanitize};
use portcullis_ops::logs::{
    self, Carrier, FollowError, Followed, How, Listener, Report, Request, TlsFiles, Told,
};

use super::{Frame, fault, print, signs::Signs};
use crate::{arguments::Logs, report};

/// Follows what was named until the time is over or Ctrl-C.
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
    let (files, notes) = logs::distinct(&arguments.files);
    for note in notes {
        report::eprintln_all(&format!("note: {}", sanitize(&note)));
    }
    let what = what(arguments, files).map_err(fault)?;
    let live: Vec<String> = what.iter().filter_map(live).collect();
    for path in arguments.files.iter().filter(|path| !path.exists()) {
        frame.say(&format!(
            "{} is not there; it is waited for",
            sanitize(&path.to_string_lossy())
        ));
    }
    let mut told = |told: Told<'_>| match told {
        Told::Begun if live.is_empty() => {
            frame.say("following; Ctrl-C ends, and the next time goes on from there");
        }
        Told::Begun => frame.say(&format!("listening to {}; Ctrl-C ends", live.join(", "))),
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
    logs::follow(frame.desk, request, &what, how, &frame.stop, &mut told)
        .await
        .map_err(fault)
}

fn what(arguments: &Logs, files: Vec<PathBuf>) -> Result<Vec<Followed>, FollowError> {
    let files = files.into_iter().map(Followed::File);
    let journal = arguments.journal.clone().map(Followed::Journal);
    let nflog = arguments.nflog.map(Followed::Nflog);
    let mut what: Vec<Followed> = files.chain(journal).chain(nflog).collect();
    let tls = arguments.tls_cert.clone().zip(arguments.tls_key.clone());
    let tls = tls.map(|(certificate, key)| TlsFiles {
        certificate,
        key,
        client_authority: arguments.tls_client_ca.clone(),
    });
    let listeners = arguments.syslog.iter().map(|text| text.parse::<Listener>());
    let listeners: Vec<Listener> = listeners.collect::<Result<_, _>>()?;
    if tls.is_some() && !listeners.iter().any(|listener| listener.carrier == Carrier::Tls) {
        return Err(FollowError::Tls(
            "a certificate was given, and nothing is listened for by TLS",
        ));
    }
    what.extend(
        listeners
            .into_iter()
            .map(|listener| Followed::Syslog(listener, tls.clone())),
    );
    Ok(what)
}

/// What is heard only while it is listened to.
fn live(followed: &Followed) -> Option<String> {
    match followed {
        Followed::File(_) | Followed::Journal(_) => None,
        Followed::Nflog(group) => Some(format!("netfilter log group {group}")),
        Followed::Syslog(listener, _) => Some(listener.to_string()),
    }
}
