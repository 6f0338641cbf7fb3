//! `portcullis plan --for`: texts for devices that Portcullis does not drive, without privileges and without a plant.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

const DIALECTS: [&str; 16] = [
    "windows",
    "cisco-ios",
    "cisco-asa",
    "juniper-srx",
    "palo-alto",
    "fortigate",
    "pf",
    "mikrotik",
    "moxa-edr",
    "aws-sg",
    "azure-nsg",
    "ansible",
    "nftables",
    "iptables",
    "ufw",
    "firewalld",
];

fn plan(arguments: &[&str]) -> (i32, String, String) {
    let home = tempfile::tempdir().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .current_dir(home.path())
        .env("XDG_STATE_HOME", home.path())
        .arg("plan")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn each_dialect_says_how_to_close_to_check_and_to_take_back_and_what_was_not_tried() {
    for dialect in DIALECTS {
        let arguments = [
            "--for",
            dialect,
            "--port",
            "54321",
            "--allow",
            "10.7.20.0/24",
            "--host",
            "192.0.2.9",
            "--host",
            "2001:db8:7::9",
        ];
        let (code, text, errors) = plan(&arguments);
        assert_eq!((code, errors.as_str()), (0, ""), "{dialect}");
        assert!(
            text.contains("54321") && text.contains("10.7.20"),
            "{dialect}: {text}"
        );
        let (_, json, _) = plan(&[&arguments[..], &["--format", "json"]].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let told = json.to_string();
        for step in ["apply", "check", "rollback"] {
            assert!(
                told.to_lowercase().contains(&format!("\"step\":\"{step}\"")),
                "{dialect}: no {step}"
            );
        }
        assert!(told.contains("\"unverified\":[\""), "{dialect}: {told}");
        assert_eq!(
            plan(&arguments).1,
            text,
            "{dialect}: another text for the same request"
        );
    }
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    for (arguments, error) in [
        (&["--for", "cisco-pix", "--port", "54321"] as &[&str], "cisco-pix"),
        (&["--for", "cisco-ios", "--port", "54321"], "error[FW011]: "),
        (
            &[
                "--for",
                "windows",
                "--port",
                "54321",
                "--allow",
                "0.0.0.0/0",
                "--allow",
                "::/0",
            ],
            "error[FW012]: ",
        ),
        (
            &["--for", "windows", "--port", "54321", "--backend", "nftables"],
            "cannot be used with",
        ),
        (&["--port", "54321", "--host", "192.0.2.9"], "--for"),
        (&["--for", "windows"], "required"),
    ] {
        let (code, text, errors) = plan(arguments);
        assert_eq!((code, text.as_str()), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(error), "{arguments:?}: {errors}");
    }
}
