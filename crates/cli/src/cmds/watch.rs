//! `portcullis watch`

use jiff::Timestamp;
use portcullis_model::{Exit, sanitize};
use portcullis_ops::change::watch::{self, Alteration, Told, WatchRequest, What};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::Watch,
    output::{Format, View},
    report,
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Watch) -> Outcome {
    let request = WatchRequest {
        patience: arguments.patience,
        once: arguments.once,
        reapply: arguments.reapply,
    };
    // One event a line whatever was asked for: a stream has no end to wait for.
    let format = match frame.format() {
        Format::Json => Format::Jsonl,
        other => other,
    };
    let mut lost = None;
    let mut tell = |told: Told| match told {
        Told::Alteration(alteration) => {
            let printed = View::text(line(&alteration))
                .all("watch", [&*alteration])
                .print(format);
            lost = lost.take().or(printed.err().map(|error| error.to_string()));
        }
        Told::Trouble(error) => report::remark(&error),
        Told::Recovered => report::eprintln_all("The changes can be compared again."),
    };
    let watched = watch::watch(frame.desk, &request, &frame.stop, &mut tell)
        .await
        .map_err(fault)?;
    if let Some(lost) = lost {
        report::eprintln_all(&format!("Not all of it could be printed: {lost}."));
        return Ok(Exit::Failed);
    }
    Ok(match (watched.drift, watched.blind) {
        (true, _) => Exit::Found,
        (false, true) => Exit::Partial,
        (false, false) => Exit::Clean,
    })
}

fn line(alteration: &Alteration) -> String {
    let mut line = format!(
        "{} change {} {} {}",
        clock(alteration.at),
        alteration.change.short(),
        alteration.port,
        alteration.what
    );
    match alteration.what {
        What::Watched => line.push_str(&format!(": {}", alteration.state)),
        What::OnTrial | What::Confirmed | What::RolledBack => {}
        _ => line.push_str(&format!(": {}", sanitize(&alteration.why))),
    }
    let doers: Vec<String> = alteration.by.iter().map(ToString::to_string).collect();
    match alteration.what {
        _ if !doers.is_empty() => line.push_str(&format!("; by {}", doers.join("; or by "))),
        What::Removed | What::Altered => line.push_str("; who did it is not known"),
        _ => {}
    }
    line
}

fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use portcullis_model::{ChangeId, ChangeState, Doer, Port, Untrusted};

    use super::*;

    #[test]
    fn an_alteration_is_one_line_that_no_name_can_break() {
        let mut alteration = Alteration {
            at: Timestamp::UNIX_EPOCH,
            change: ChangeId::of(&[b"one"]),
            port: Port::tcp(54321),
            what: What::Removed,
            was: Some(ChangeState::Confirmed),
            state: ChangeState::NotInForce,
            why: "it is gone\n".into(),
            by: vec![Doer {
                program: Untrusted::new("n\nft"),
                pid: 7,
                process: None,
            }],
        };
        let tag = alteration.change.short();
        assert_eq!(
            line(&alteration),
            format!(
                "1970-01-01 00:00:00 change {tag} tcp/54321 not in force: it is gone\\u{{a}}; by n\\u{{a}}ft (process 7), \
                 which has ended"
            )
        );
        alteration.by.clear();
        assert!(line(&alteration).ends_with("; who did it is not known"));
        alteration.what = What::Watched;
        assert_eq!(
            line(&alteration),
            format!("1970-01-01 00:00:00 change {tag} tcp/54321 watched: not in force")
        );
    }
}
