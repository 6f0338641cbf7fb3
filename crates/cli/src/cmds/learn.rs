//! `portcullis learn`

use std::fmt::Write as _;

use portcullis_knowledge::signature::{Look, Signature};
use portcullis_model::Exit;
use portcullis_ops::learn::{self, Learned, Request};

use super::{Frame, Outcome, fault};
use crate::{
    arguments::Learn,
    output::{View, table},
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Learn) -> Outcome {
    if let Some(place) = arguments.forget {
        learn::forget(frame.desk, place).await.map_err(fault)?;
        View::text(format!("Forgot what was learned of {place}.")).print(frame.format())?;
        return Ok(Exit::Clean);
    }
    let (Some(place), Some(service)) = (arguments.place, &arguments.service) else {
        return list(frame).await;
    };
    let request = Request {
        place,
        service: service.clone(),
        counter_examples: arguments.counter_examples.clone(),
        looks: arguments.looks,
        patience: arguments.patience,
        capture: arguments.from_capture.clone(),
        permission: arguments.permission.clone(),
        signers: arguments.signers.clone(),
    };
    let begins = |ports| {
        frame.say(&format!(
            "{} look(s) at each of {ports} port(s), one connection at a time; nothing is sent on them.",
            request.looks
        ));
    };
    let learned = learn::learn(frame.desk, &request, &frame.stop, begins)
        .await
        .map_err(fault)?;
    let mut view = View::text(text(&learned))
        .all("signature", &learned.signatures)
        .all("signature-replaced", &learned.replaced);
    view.record("signature-error", &learned.error_figure);
    view.print(frame.format())?;
    Ok(Exit::Clean)
}

async fn list(frame: &Frame<'_>) -> Outcome {
    let known = learn::known(frame.desk).await.map_err(fault)?;
    if known.is_empty() {
        View::text("Nothing was learned on this site.").print(frame.format())?;
        return Ok(Exit::Clean);
    }
    let rows = known.iter().map(|one| {
        [
            one.address.to_string(),
            one.port.to_string(),
            said(one),
            one.looks.len().to_string(),
            one.by.clone(),
            one.at.strftime("%Y-%m-%d %H:%M").to_string(),
        ]
    });
    let mut text = table(["address", "port", "known as", "looks", "by", "at (utc)"], rows);
    let mut services: Vec<_> = known.iter().map(|one| &one.service).collect();
    services.dedup();
    services.sort();
    services.dedup();
    let mut view = View::default().all("signature", &known);
    for service in services {
        let figure = learn::error_figure(&known, service);
        let _ = write!(text, "\n{service}: {figure}.");
        view.record("signature-error", &figure);
    }
    view.with_text(text).print(frame.format())?;
    Ok(Exit::Clean)
}

fn said(signature: &Signature) -> String {
    match signature.is_it {
        true => signature.service.to_string(),
        false => format!("not {}", signature.service),
    }
}

fn text(learned: &Learned) -> String {
    let mut text = String::new();
    for signature in &learned.signatures {
        let _ = writeln!(text, "{}: {}", signature.place(), said(signature));
        for look in &signature.looks {
            let _ = writeln!(text, "    {}", shown(look));
        }
        if !signature.overheard.is_empty() {
            let _ = writeln!(
                text,
                "    {} first bytes from the capture",
                signature.overheard.len()
            );
        }
    }
    for gone in &learned.replaced {
        let _ = writeln!(
            text,
            "The statement of {} that {} is {}, by {}, is replaced.",
            gone.at.strftime("%Y-%m-%d %H:%M (utc)"),
            gone.place(),
            said(gone),
            gone.by
        );
    }
    let _ = write!(
        text,
        "By the examples of this site, {}.\nWhat behaves so is told by `portcullis assets -v` and `portcullis exposures -v`, \
         after a scan.",
        learned.error_figure
    );
    text
}

fn shown(look: &Look) -> String {
    let behaviour = &look.behaviour;
    let mut parts = vec![match behaviour.spoke_after_ms {
        Some(after) => format!("spoke after {after} ms"),
        None => format!("silent for {} ms", behaviour.listened_ms),
    }];
    parts.extend(behaviour.own_end.map(|end| {
        let how = if end.reset { "by a reset" } else { "in order" };
        format!("ended the connection itself after {} ms, {how}", end.after_ms)
    }));
    parts.extend(behaviour.answer_to_end.map(|answer| answer.to_string()));
    parts.extend(behaviour.options.map(|options| options.to_string()));
    parts.join("; ")
}
