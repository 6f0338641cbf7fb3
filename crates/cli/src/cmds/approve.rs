//! `portcullis approve`

use portcullis_model::Exit;
use portcullis_ops::change;
use serde_json::json;

use super::{Frame, Outcome, fault};
use crate::{arguments, output::View};

pub(super) async fn run(frame: &Frame<'_>, arguments: &arguments::Approve) -> Outcome {
    let Some(signature) = &arguments.signature else {
        let text = change::to_sign(frame.desk, &arguments.plan)
            .await
            .map_err(fault)?;
        let mut view = View::text(text.trim_end().to_owned());
        view.record(
            "to-sign",
            &json!({ "text": text, "namespace": change::APPROVAL_NAMESPACE }),
        );
        view.print(frame.format())?;
        return Ok(Exit::Clean);
    };
    let signer = change::approve(frame.desk, &arguments.plan, signature)
        .await
        .map_err(fault)?;
    let text = format!("Plan {} is approved by {signer}.", arguments.plan);
    let mut view = View::text(text);
    view.record("approval", &json!({ "plan": arguments.plan, "signer": signer }));
    view.print(frame.format())?;
    Ok(Exit::Clean)
}
