//! `portcullis assets`

use std::fmt::Write as _;

use portcullis_model::{Exit, Fault, Port};
use portcullis_ops::assets::{self, Asset, Status};
use serde_json::Value;

use super::{Frame, Outcome, assessed, fault};
use crate::{
    arguments::Assets,
    csaf_vex, cyclonedx,
    output::{self, Format, View, table},
    statements::Publisher,
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Assets) -> Outcome {
    let desk = frame.desk;
    let site = desk.site.as_ref().map(|site| site.name.as_str());
    let publisher = Publisher::new(
        arguments.publisher.as_deref(),
        arguments.namespace.as_deref(),
        site,
    );
    let publisher = publisher.map_err(fault)?;
    let assets = assets::assets(desk).await.map_err(fault)?;
    match frame.format() {
        Format::CsafVex => {
            let document = csaf_vex::document(&assets, &publisher, (desk.now)());
            print(&document.ok_or_else(|| fault(NothingToState))?)?;
        }
        Format::CycloneDx => print(&cyclonedx::document(&assets, &publisher, (desk.now)()))?,
        _ => View::text(text(&assets, frame.global.verbose > 0))
            .all("asset", &assets)
            .print(frame.format())?,
    }
    Ok(Exit::Clean)
}

fn print(document: &Value) -> Result<(), Box<dyn Fault>> {
    output::print(|out| output::write_json(out, document))
}

/// No advisory says anything of any asset.
#[derive(Debug, thiserror::Error)]
#[error("no advisory says anything of the assets that are known, and CSAF knows no empty VEX document")]
struct NothingToState;

impl Fault for NothingToState {
    fn code(&self) -> &'static str {
        "AD007"
    }
    fn hint(&self) -> Option<String> {
        Some(
            "scan or import first, and import advisories; --format cyclonedx lists assets without any".into(),
        )
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

fn text(assets: &[Asset], with_reasons: bool) -> String {
    if assets.is_empty() {
        return "No host is known that answers. That says nothing about what was never looked at.".into();
    }
    let dash = || "-".to_owned();
    let rows = assets.iter().map(|asset| {
        let device = asset.device.as_ref();
        [
            asset.address.to_string(),
            asset.zone.clone().unwrap_or_else(dash),
            list(asset.roles.iter().copied()),
            device
                .and_then(|device| device.vendor.clone())
                .unwrap_or_else(dash),
            device.map_or_else(dash, |device| device.model.clone()),
            device
                .and_then(|device| device.version.clone())
                .unwrap_or_else(dash),
            asset
                .mac
                .as_ref()
                .map_or_else(dash, |mac| mac.address.to_string()),
            services(asset),
            list(asset.sources.iter().map(String::as_str)),
            asset.last_seen.strftime("%Y-%m-%d %H:%M").to_string(),
        ]
    });
    let header = [
        "address",
        "zone",
        "roles",
        "vendor",
        "model",
        "firmware",
        "mac",
        "services",
        "known from",
        "last seen (utc)",
    ];
    let mut text = format!("{}\n", table(header, rows));
    for asset in assets {
        about(asset, &mut text);
        for service in asset.services.iter().filter(|_| with_reasons) {
            let _ = write!(
                text,
                "\n{} {}: {} is {}{}",
                asset.address,
                service.port,
                service.service,
                service.grade,
                assessed::lines(&service.assessment)
            );
        }
    }
    text
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    if words.is_empty() {
        "-".into()
    } else {
        words.join(", ")
    }
}

/// What does not fit into a row: the hardware address, and the advisories.
fn about(asset: &Asset, text: &mut String) {
    if let Some(mac) = &asset.mac {
        if mac.registered_to_moxa {
            let _ = write!(
                text,
                "\n{}: {} is of a block registered to Moxa, which proves nothing: addresses can be set",
                asset.address, mac.address
            );
        }
        if let Some(behind) = &mac.behind {
            let _ = write!(text, "\n{}: {} is behind {behind}", asset.address, mac.address);
        }
        if !mac.others.is_empty() {
            let _ = write!(
                text,
                "\n{}: other hardware addresses were seen for it, too: {}",
                asset.address,
                mac.others.join(", ")
            );
        }
    }
    for contradiction in &asset.contradictions {
        let _ = write!(
            text,
            "\n{}: it says different things of itself: {contradiction}",
            asset.address
        );
    }
    let told = asset
        .advisories
        .iter()
        .filter(|one| one.status != Status::NotAffected);
    for advisory in told {
        let of = if advisory.product.installed {
            format!(" ({})", advisory.product.model)
        } else {
            String::new()
        };
        let _ = write!(
            text,
            "\n{}{of}: {} {}: {}\n    {}; {}",
            asset.address,
            advisory.id,
            advisory.status,
            advisory.reason,
            advisory.cves.join(", "),
            advisory.remedy
        );
    }
}

fn services(asset: &Asset) -> String {
    let closed = |port: &Port| match asset.closed_since.get(port) {
        Some(at) => format!(", closed at {}", at.strftime("%Y-%m-%d %H:%M")),
        None => String::new(),
    };
    let named = asset.services.iter().map(|service| {
        let within = if service.from_within { ", from within" } else { "" };
        let closed = closed(&service.port);
        format!(
            "{} {} ({}{within}){closed}",
            service.port, service.service, service.grade
        )
    });
    let other = asset
        .unidentified
        .iter()
        .map(|port| format!("{port} not identified{}", closed(port)));
    let all: Vec<String> = named.chain(other).collect();
    match (all.is_empty(), asset.answered) {
        (false, _) => all.join(", "),
        (true, true) => "none open".into(),
        (true, false) => "never answered a port".into(),
    }
}
