//! A site that wants a second person's approval: nothing is applied that somebody else has not signed.

use std::{fs, process::Command};

use crate::plant::{Ended, GATEWAY, Plant};

/// Makes a key, and returns its line for a list of signers.
fn key(plant: &Plant, name: &str) -> String {
    keygen(plant, &["-q", "-t", "ed25519", "-N", "", "-f", name]);
    fs::read_to_string(plant.folder().join(format!("{name}.pub"))).unwrap()
}

fn keygen(plant: &Plant, arguments: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    Ended::of(command.args(arguments).current_dir(plant.folder())).with(0);
}

/// What `portcullis approve` prints, signed.
fn signed(plant: &Plant, plan: &str, key: &str, namespace: &str) -> String {
    let text = plant.portcullis(GATEWAY, &["approve", plan]).with(0).stdout;
    let file = plant.folder().join(format!("{plan}-{key}-{namespace}"));
    fs::write(&file, text).unwrap();
    keygen(
        plant,
        &["-Y", "sign", "-n", namespace, "-f", key, file.to_str().unwrap()],
    );
    format!("{}.sig", file.display())
}

#[test]
fn nothing_is_applied_that_a_second_person_has_not_signed() {
    let plant = Plant::up();
    let site = plant.folder().join("site.toml");
    let text = fs::read_to_string(&site).unwrap();
    fs::write(&site, format!("{text}\n[approval]\nsigners = \"approvers\"\n")).unwrap();
    let login = Ended::of(Command::new("id").arg("-un")).with(0).stdout;
    let lines = [
        ("kari", "kari@plant.example".to_owned()),
        ("own", format!("{}@plant.example", login.trim())),
    ]
    .map(|(name, signer)| format!("{signer} {}", key(&plant, name)));
    let approvers = plant.folder().join("approvers");
    fs::write(&approvers, lines.concat()).unwrap();
    key(&plant, "mallory");

    let (plan, other) = (
        plant.plan(&["--port", "54321"]),
        plant.plan(&["--port", "4800", "--preventive"]),
    );
    let apply = |plan: &str| plant.portcullis(GATEWAY, &["apply", plan, "--trial", "60s"]);
    let approve =
        |plan: &str, signature: &str| plant.portcullis(GATEWAY, &["approve", plan, "--signature", signature]);
    apply(&plan).refused(4, "OP021");
    let urgent = ["apply", &plan, "--emergency", "a leak"];
    plant.portcullis(GATEWAY, &urgent).refused(4, "OP021");

    let purpose = "portcullis-plan";
    for (of, key, namespace) in [
        (&plan, "mallory", purpose),
        (&plan, "own", purpose),
        (&other, "kari", purpose),
        (&plan, "kari", "portcullis-permission"),
    ] {
        let signature = signed(&plant, of, key, namespace);
        approve(&plan, &signature).refused(4, "OP021");
        apply(&plan).refused(4, "OP021");
    }
    approve(&plan, "/nonexistent.sig").refused(4, "OP021");

    let approved = approve(&plan, &signed(&plant, &plan, "kari", purpose)).with(0);
    assert!(
        approved.stdout.contains("is approved by kari@plant.example"),
        "{}",
        approved.stdout
    );
    let change = plant.apply(&plan, "60s");
    apply(&other).refused(4, "OP021");
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);

    // Whoever is no approver any more has approved nothing.
    fs::write(&approvers, &lines[1]).unwrap();
    apply(&plan).refused(4, "OP021");
    assert!(!plant.ruleset(GATEWAY).contains("portcullis"));
}

#[test]
fn a_site_that_asks_for_no_approval_takes_none() {
    let plant = Plant::up();
    let plan = plant.plan(&["--port", "54321"]);
    key(&plant, "kari");
    let signature = signed(&plant, &plan, "kari", "portcullis-plan");
    let refused = plant.portcullis(GATEWAY, &["approve", &plan, "--signature", &signature]);
    refused.refused(4, "OP021");
}
