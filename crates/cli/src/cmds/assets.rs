//! `portcullis assets`

use std::fmt::Write as _;

use portcullis_model::Exit;
use portcullis_ops::assets::{self, Asset, Status};

use super::{Frame, Outcome, fault};
use crate::output::{View, table};

pub(super) async fn run(frame: &Frame<'_>) -> Outcome {
    let assets = assets::assets(frame.desk).await.map_err(fault)?;
    View::text(text(&assets))
        .all("asset", &assets)
        .print(frame.format())?;
    Ok(Exit::Clean)
}

fn text(assets: &[Asset]) -> String {
    if assets.is_empty() {
        return "No host is known that answers. That says nothing about what was never looked at.".into();
    }
    let said = |asset: &Asset, name: &str| asset.facts.get(name).map(|fact| fact.value.clone());
    let rows = assets.iter().map(|asset| {
        [
            asset.address.to_string(),
            asset.zone.clone().unwrap_or_else(|| "-".into()),
            said(asset, "model")
                .or_else(|| said(asset, "product"))
                .unwrap_or_else(|| "-".into()),
            said(asset, "firmware")
                .or_else(|| said(asset, "revision"))
                .unwrap_or_else(|| "-".into()),
            services(asset),
            asset.last_seen.strftime("%Y-%m-%d %H:%M").to_string(),
        ]
    });
    let header = [
        "address",
        "zone",
        "model",
        "firmware",
        "services",
        "last seen (utc)",
    ];
    let mut text = format!("{}\n", table(header, rows));
    for asset in assets {
        for advisory in asset
            .advisories
            .iter()
            .filter(|one| one.status != Status::NotAffected)
        {
            let _ = write!(
                text,
                "\n{}: {} {}: {}\n    {}; {}",
                asset.address,
                advisory.id,
                advisory.status,
                advisory.reason,
                advisory.cves.join(", "),
                advisory.remedy
            );
        }
    }
    text
}

fn services(asset: &Asset) -> String {
    let named = asset
        .services
        .iter()
        .map(|service| format!("{} {} ({})", service.port, service.service, service.grade));
    let other = asset
        .unidentified
        .iter()
        .map(|port| format!("{port} not identified"));
    let all: Vec<String> = named.chain(other).collect();
    if all.is_empty() {
        "none open".into()
    } else {
        all.join(", ")
    }
}
