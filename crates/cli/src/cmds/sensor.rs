//! `portcullis sensor`

use portcullis_model::{Exit, Fault, sanitize};
use portcullis_ops::sensor::{self, AskedFor, SensorRequest, Told, Trouble};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::Sensor,
    output::{Format, View},
    report,
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Sensor) -> Outcome {
    let Some(broker) = arguments.nats.broker() else {
        return Err(fault(NoServer));
    };
    let request = SensorRequest {
        name: arguments.name.clone(),
        broker,
        permission: arguments.permission.clone(),
        signers: arguments.signers.clone(),
    };
    // One look a line whatever was asked for: a stream has no end to wait for.
    let format = match frame.format() {
        Format::Json => Format::Jsonl,
        other => other,
    };
    let mut lost = None;
    let mut tell = |told: Told| match told {
        Told::There => frame.say(&format!("Sensor {} is there; Ctrl-C ends it.", request.name)),
        Told::Asked(asked) => {
            let printed = View::text(line(&asked)).all("look", [&*asked]).print(format);
            lost = lost.take().or(printed.err().map(|error| error.to_string()));
        }
        Told::Trouble(trouble) => report::eprintln_all(&met(&trouble)),
        Told::NotHandedOver(error) => report::remark(&error),
    };
    sensor::serve(frame.desk, &request, &frame.stop, &mut tell)
        .await
        .map_err(fault)?;
    if let Some(lost) = lost {
        report::eprintln_all(&format!("Not all of it could be printed: {lost}."));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Clean)
}

fn line(asked: &AskedFor) -> String {
    let at = asked.at.strftime("%Y-%m-%d %H:%M:%S");
    let (port, who) = (asked.port, &asked.asked_by);
    if let Some(why) = &asked.refused {
        return format!("{at} {port} for {who}: refused, {}", sanitize(why));
    }
    let states: Vec<String> = asked
        .states
        .iter()
        .map(|(address, state)| format!("{address} {state}"))
        .collect();
    format!("{at} {port} for {who}: {}", states.join(", "))
}

fn met(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Lost(why) => format!("The connection is lost, and tried again: {}.", sanitize(why)),
        Trouble::Back => "The connection stands again.".into(),
        Trouble::NotUnderstood(why) => {
            format!(
                "Somebody asked for what is no look, and was not heard: {}.",
                sanitize(why)
            )
        }
    }
}

/// A sensor that nobody could ask.
#[derive(Debug, thiserror::Error)]
#[error("a sensor needs a NATS server, at which it is asked")]
struct NoServer;

impl Fault for NoServer {
    fn code(&self) -> &'static str {
        "CL008"
    }
    fn hint(&self) -> Option<String> {
        Some("name it with --nats tls://HOST:PORT or PORTCULLIS_NATS".into())
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use portcullis_model::{Port, PortState, RunId, Untrusted};

    use super::*;

    #[test]
    fn a_look_is_one_line_that_nobody_can_break() {
        let mut asked = AskedFor {
            at: Timestamp::UNIX_EPOCH,
            run: RunId::of(&[b"one"]),
            asked_by: Untrusted::new("me\non host"),
            port: Port::tcp(54321),
            states: vec![([10, 7, 10, 1].into(), PortState::NoAnswer)],
            refused: None,
        };
        let begins = "1970-01-01 00:00:00 tcp/54321 for me\\u{a}on host: ";
        assert_eq!(line(&asked), format!("{begins}10.7.10.1 no-answer"));
        asked.refused = Some("not\nhere".into());
        assert_eq!(line(&asked), format!("{begins}refused, not\\u{{a}}here"));
    }
}
