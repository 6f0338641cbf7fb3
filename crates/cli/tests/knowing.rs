//! Services of the user's own, through the program: checked, listed, scanned by, and never obeyed against a judge.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::Value;

const CONSOLE: &str = "name = \"acme-console\"\ntitle = \"Acme console\"\npurpose = \"configuration\"\n\
    role = \"management\"\nhazard = \"read-only-request\"\njudge = \"page\"\nports = [\"tcp/8088\"]\n\
    listen_first_ms = 800\nwait_ms = 3000\n[request]\nkind = \"http-get\"\n[[page]]\nserver = \"AcmeHttp/\"\n\
    [[reference]]\nsource = \"Acme G7 manual, 3.2\"\nsays = \"the console is on port 8088\"\n";

fn portcullis(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["--store", "plant.sqlite"])
        .args(arguments)
        .current_dir(folder)
        .env_remove("PORTCULLIS_KNOWLEDGE")
        .output()
        .unwrap()
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("own")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join("own").join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_good_folder_is_checked_listed_and_known_to_every_command() {
    let folder = with(&[("acme.toml", CONSOLE), ("README", "not a service")]);
    let (code, text) = said(&portcullis(folder.path(), &["knowledge", "check", "own"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.starts_with("1 service file(s) in own keep the rules"),
        "{text}"
    );

    let list = ["--knowledge", "own", "--format", "json", "knowledge", "list"];
    let services: Vec<Value> = serde_json::from_slice(&portcullis(folder.path(), &list).stdout).unwrap();
    let named = |name: &str| services.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(named("acme-console")["sends"], serde_json::json!(["GET /"]));
    assert_eq!(named("moxa-mdm-gateway")["sends"], serde_json::json!([]));
    assert_eq!(named("moxa-mdm-gateway")["schema"], "portcullis.service/1");
    assert_eq!(
        named("modbus-tcp")["sends"][0],
        "11 bytes: 000000000005012b0e0100"
    );

    // site.toml may name the service only where it is known.
    fs::write(
        folder.path().join("site.toml"),
        "[site]\nname='p'\n[[zone]]\nname='a'\nnetworks=['10.0.0.0/8']\n[[zone]]\nname='b'\nnetworks=['any']\n\
         [[conduit]]\nfrom='b'\nto='a'\nservices=['acme-console']\n",
    )
    .unwrap();
    let exposures = ["--config", "site.toml", "exposures"];
    let (code, text) = said(&portcullis(folder.path(), &exposures));
    assert_eq!(code, Some(2), "{text}");
    // Something is known: without a store there would be nothing to look at.
    fs::write(
        folder.path().join("arp.txt"),
        "? (10.7.10.9) at 00:90:e8:01:02:03 [ether] on eth0\n",
    )
    .unwrap();
    let imported = portcullis(folder.path(), &["import", "arp.txt"]);
    assert_eq!(imported.status.code(), Some(0), "{}", said(&imported).1);
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["--store", "plant.sqlite"])
        .args(exposures)
        .current_dir(folder.path())
        .env("PORTCULLIS_KNOWLEDGE", "own")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output).1);
}

#[test]
fn all_mistakes_are_told_at_once_with_file_and_line_and_nothing_is_opened() {
    let unknown = format!("payload = [1]\n{CONSOLE}");
    let folder = with(&[("a.toml", &unknown), ("b.toml", "name = "), ("c.toml", CONSOLE)]);
    let (code, text) = said(&portcullis(folder.path(), &["knowledge", "check", "own"]));
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.starts_with("error[KN001]: 2 data file(s) cannot be read:\n  own/a.toml:1:1: unknown field"),
        "{text}"
    );
    assert!(text.contains("\n  own/b.toml:1:"), "{text}");

    let silent = CONSOLE.replace("8088", "54321").replace("acme-console", "x");
    let nameless = CONSOLE.replace("\"Acme console\"", "\"\"");
    let folder = with(&[("a.toml", &nameless), ("b.toml", &silent)]);
    for arguments in [
        &["knowledge", "check", "own"][..],
        &["--knowledge", "own", "assets"],
    ] {
        let (code, text) = said(&portcullis(folder.path(), arguments));
        assert_eq!(code, Some(2), "{text}");
        assert!(
            text.starts_with("error[KN002]: the data files break 2 of their rules:"),
            "{text}"
        );
        assert!(
            text.contains("\n  own/a.toml:1: acme-console: title and purpose"),
            "{text}"
        );
        assert!(
            text.contains("\n  own/b.toml:1: x: the port of a silent service"),
            "{text}"
        );
    }
    assert!(!folder.path().join("plant.sqlite").exists());

    let (code, text) = said(&portcullis(folder.path(), &["knowledge", "check", "nowhere"]));
    assert!(code == Some(2) && text.starts_with("error[OP001]"), "{text}");
    let empty = with(&[]);
    let (code, text) = said(&portcullis(empty.path(), &["knowledge", "check", "own"]));
    assert!(code == Some(2) && text.starts_with("error[KN003]"), "{text}");
}

/// A file that no service file can be is refused by its length.
#[test]
fn a_file_that_is_too_long_is_refused_before_it_is_read() {
    let folder = with(&[("a.toml", CONSOLE), ("b.toml", "")]);
    let long = fs::File::options()
        .write(true)
        .open(folder.path().join("own/b.toml"))
        .unwrap();
    long.set_len(1 << 26).unwrap();
    let (code, text) = said(&portcullis(folder.path(), &["knowledge", "check", "own"]));
    assert!(
        code == Some(2) && text.starts_with("error[OP001]") && text.contains("has 1048576 at most"),
        "{text}"
    );
}

/// Whatever a file says: bytes that no judge permits do not leave this host.
#[test]
fn no_file_makes_portcullis_send_other_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut bytes = Vec::new();
        let _ = connection.read_to_end(&mut bytes);
        bytes
    });
    let own = |judge: &str, request: &str| {
        CONSOLE
            .replace("\"page\"", judge)
            .replace("8088", &port.to_string())
            .replace("[[page]]\nserver = \"AcmeHttp/\"\n", "")
            .replace("kind = \"http-get\"", request)
    };
    for (judge, request) in [
        (
            "\"modbus\"",
            "kind = \"bytes\"\nbytes = [0, 1, 0, 0, 0, 6, 1, 6, 0, 0, 0, 1]",
        ),
        ("\"port\"", "kind = \"bytes\"\nbytes = [1]"),
        ("\"port\"", "kind = \"http-get\""),
    ] {
        let folder = with(&[("own.toml", &own(judge, request))]);
        let port = port.to_string();
        let scan = [
            "--knowledge",
            "own",
            "scan",
            "127.0.0.1",
            "--ports",
            &port,
            "--quiet",
        ];
        let (code, text) = said(&portcullis(folder.path(), &scan));
        assert!(
            code == Some(2) && text.contains("none of those that its judge permits"),
            "{text}"
        );
    }
    // One that a judge permits goes out as it is in the judge, and nothing else does.
    let good = CONSOLE.replace("8088", &port.to_string());
    let folder = with(&[("own.toml", &good)]);
    let port = port.to_string();
    let scan = [
        "--knowledge",
        "own",
        "scan",
        "127.0.0.1",
        "--ports",
        &port,
        "--quiet",
    ];
    let (code, text) = said(&portcullis(folder.path(), &scan));
    assert_eq!(code, Some(0), "{text}");
    let received = String::from_utf8(received.join().unwrap()).unwrap();
    assert!(received.starts_with("GET / HTTP/1.1\r\n"), "{received}");
    assert_eq!(received.matches("\r\n\r\n").count(), 1, "{received}");
}

/// A community is a credential: a mistake in it is told without it, wherever it was given.
#[test]
fn a_community_that_cannot_be_one_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "plant7".repeat(11);
    let scan = |option: &[&str], environment: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args([
                "--store",
                "plant.sqlite",
                "scan",
                "127.0.0.1",
                "--service",
                "snmp",
            ])
            .args(option)
            .current_dir(folder.path())
            .env("PORTCULLIS_COMMUNITY", environment)
            .output()
            .unwrap();
        said(&output)
    };
    for (option, environment) in [(&["--community", &secret][..], "x"), (&[], &secret)] {
        let (code, text) = scan(option, environment);
        assert!(
            code == Some(2) && text.starts_with("error[CL002]: invalid value for '--community"),
            "{text}"
        );
        assert!(
            text.contains("64 bytes at most") && !text.contains("plant7"),
            "{text}"
        );
    }
}
