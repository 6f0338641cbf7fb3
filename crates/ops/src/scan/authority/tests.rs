use std::{fs, process::Command};

use super::*;

const TEXT: &str = "[permission]\nowner = \"Kari\"\ncontact = \"+47\"\nsigned_by = \"kari@nordfjord.example\"\n\
                    ranges = [\"198.51.100.0/24\"]\nexpires = \"2999-01-01T00:00:00Z\"\n";

/// A folder with a signed permission and a list of allowed signers.
struct Signed {
    folder: tempfile::TempDir,
}

impl Signed {
    fn new(namespace: &str, signers: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let signed = Self { folder };
        fs::write(signed.path("permission.toml"), TEXT).unwrap();
        signed.keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "key"]);
        let key = fs::read_to_string(signed.path("key.pub")).unwrap();
        fs::write(signed.path("signers"), format!("{signers} {key}")).unwrap();
        signed.keygen(&["-Y", "sign", "-n", namespace, "-f", "key", "permission.toml"]);
        signed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keygen(&self, arguments: &[&str]) {
        let mut command = Command::new("ssh-keygen");
        let output = command
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn source(&self) -> Source {
        Source {
            file: self.path("permission.toml"),
            signers: Some(self.path("signers")),
        }
    }

    #[track_caller]
    fn is_refused(&self, why: &str) {
        let error = self.source().read().unwrap_err();
        assert_eq!(error.code(), "OP017", "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

const SIGNER: &str = "kari@nordfjord.example";
const NAMESPACE: &str = "portcullis-permission";

#[test]
fn the_signature_of_the_one_who_is_named_counts_and_no_other() {
    let signed = Signed::new(NAMESPACE, SIGNER);
    assert_eq!(signed.source().read().unwrap().signature, Signature::Checked);
    let unchecked = Source {
        signers: None,
        ..signed.source()
    };
    assert_eq!(unchecked.read().unwrap().signature, Signature::NotChecked);

    Signed::new(NAMESPACE, "ola@nordfjord.example").is_refused("`signed_by` names kari@nordfjord.example");
    Signed::new("file", SIGNER).is_refused("is not kari@nordfjord.example's signature");

    fs::write(
        signed.path("permission.toml"),
        TEXT.replace("198.51.100.0/24", "198.51.0.0/16"),
    )
    .unwrap();
    signed.is_refused("is not kari@nordfjord.example's signature of this text");
    fs::write(signed.path("permission.toml"), TEXT).unwrap();
    fs::write(signed.path("signers"), "").unwrap();
    signed.is_refused("does not know the key");
    fs::remove_file(signed.path("permission.toml.sig")).unwrap();
    signed.is_refused("there is no ");
    fs::write(signed.path("permission.toml"), TEXT.replace("signed_by", "#")).unwrap();
    signed.is_refused("it names nobody in `signed_by`");
    fs::remove_file(signed.path("signers")).unwrap();
    fs::write(signed.path("permission.toml"), TEXT).unwrap();
    assert_eq!(signed.source().read().unwrap_err().code(), "OP001");
}

#[test]
fn a_pipe_is_no_permission() {
    let source = Source {
        file: "/dev/null".into(),
        signers: None,
    };
    assert_eq!(source.read().unwrap_err().code(), "OP001");
}

#[test]
fn a_new_version_counts_only_when_it_is_signed_and_only_by_what_it_takes_away() {
    let signed = Signed::new(NAMESPACE, SIGNER);
    let source = signed.source();
    let used = source.read().unwrap();
    let authority = Authority::new(used.permission, Arc::default());
    let mut digest = used.digest;
    let mut look = || authority.look_again(&source, &mut digest);
    assert!(look().unwrap().is_none(), "nothing has changed");

    let wider = TEXT.replace("198.51.100.0/24", "198.51.0.0/16");
    fs::write(signed.path("permission.toml"), &wider).unwrap();
    assert_eq!(look().unwrap_err().code(), "OP017");
    let sign = || {
        fs::remove_file(signed.path("permission.toml.sig")).unwrap();
        signed.keygen(&["-Y", "sign", "-n", NAMESPACE, "-f", "key", "permission.toml"]);
    };
    sign();
    assert!(look().unwrap().is_none(), "it takes nothing away");
    let asked = |last: u8| {
        let now = Timestamp::UNIX_EPOCH;
        authority.permits(IpAddr::from([198, 51, 100, last]), Port::tcp(1), now)
    };
    let outside = authority.permits(IpAddr::from([198, 51, 7, 1]), Port::tcp(1), Timestamp::UNIX_EPOCH);
    assert!(outside.is_err() && asked(200).is_ok());

    let narrower = TEXT.replace("198.51.100.0/24", "198.51.100.0/25");
    fs::write(signed.path("permission.toml"), &narrower).unwrap();
    sign();
    assert_eq!(look().unwrap().unwrap().digest, Digest::of(&narrower));
    assert!(asked(1).is_ok());
    assert!(matches!(asked(200), Err(Denial::Tightened(_))));
}

#[tokio::test]
async fn a_file_that_disappears_withdraws_the_permission() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("permission.toml");
    fs::write(&file, TEXT).unwrap();
    let source = Source {
        file: file.clone(),
        signers: None,
    };
    let used = source.read().unwrap();
    let authority = Authority::new(used.permission, Arc::default());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let watch = authority.watch(source, used.digest, tell);
    fs::remove_file(&file).unwrap();
    let tightening = told.recv().await.unwrap();
    assert!(
        matches!(tightening, Tightening::Withdrawn { .. }),
        "{tightening:?}"
    );
    let denial = authority.permits(
        IpAddr::from([198, 51, 100, 1]),
        Port::tcp(1),
        Timestamp::UNIX_EPOCH,
    );
    let reason = denial.unwrap_err().reason();
    assert_eq!(
        reason,
        format!("the permission was withdrawn: {} is gone", file.display())
    );
    // The thread has ended, and with it the channel.
    assert!(told.recv().await.is_none());
    drop(watch);
}

#[test]
fn a_smaller_rate_slows_the_scan_and_a_larger_one_does_not_make_it_faster() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source {
        file: folder.path().join("permission.toml"),
        signers: None,
    };
    fs::write(&source.file, TEXT).unwrap();
    let used = source.read().unwrap();
    let brake: Arc<Brake> = Arc::default();
    let authority = Authority::new(used.permission, Arc::clone(&brake));
    let mut digest = used.digest;
    for (rate, expected) in [("80/s", 80), ("40/s", 40), ("900/s", 40)] {
        fs::write(&source.file, format!("{TEXT}rate = \"{rate}\"\n")).unwrap();
        authority.look_again(&source, &mut digest).unwrap();
        assert_eq!(brake.pace(Pace::default()).unwrap().total_per_second, expected);
    }
}

#[test]
fn the_smaller_rate_counts_and_is_told() {
    let mut permission = Permission::parse("p", TEXT).unwrap();
    permission.rate = Some(50);
    permission.per_host = Some(100);
    let (pace, slowed) = permitted_pace(Pace::default(), Some(&permission));
    assert_eq!((pace.total_per_second, pace.per_host_per_second), (50, 20));
    assert_eq!(
        slowed,
        ["50 packets per second in all, as the permission has it; 1000 were asked for"]
    );
}

#[test]
fn one_host_gets_no_more_than_all_together() {
    let mut permission = Permission::parse("p", TEXT).unwrap();
    let used = |permission: &Permission| PermissionUsed {
        file: PathBuf::new(),
        digest: Digest::of(TEXT),
        signature: Signature::None,
        permission: permission.clone(),
    };
    permission.rate = Some(5);
    assert_eq!(
        crate::scan::permitted_per_host(Pace::default(), Some(&used(&permission))),
        5
    );
    permission.per_host = Some(2);
    assert_eq!(
        crate::scan::permitted_per_host(Pace::default(), Some(&used(&permission))),
        2
    );
    assert_eq!(crate::scan::permitted_per_host(Pace::default(), None), 20);
}

#[test]
fn a_window_that_closes_while_the_scan_runs_ends_it_with_that_reason() {
    let lines = "when = [\"daily 22:00-06:00\"]\ntimezone = \"Europe/Oslo\"\n";
    let permission = Permission::parse("p", &format!("{TEXT}{lines}")).unwrap();
    let authority = Authority::new(permission, Arc::default());
    let ask = |now: &str| {
        let now = now.parse().unwrap();
        authority.permits(IpAddr::from([198, 51, 100, 1]), Port::tcp(1), now)
    };
    assert_eq!(ask("2026-11-24T04:59:59.999Z"), Ok(()));
    assert_eq!(
        ask("2026-11-24T05:00:00Z").unwrap_err().reason(),
        "the permission of Kari permits nothing at this hour; it opens again at Tue 2026-11-24 22:00 Europe/Oslo"
    );
}
