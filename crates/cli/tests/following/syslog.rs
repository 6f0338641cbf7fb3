//! Syslog that others send: `logger`, rsyslog and `openssl s_client`, on loopback.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{PORTCULLIS, UNPACKED, counted, gaps, line, stored, unpacked, until};

struct Place {
    folder: TempDir,
    /// Free a moment ago.
    port: u16,
}

impl Place {
    fn new() -> Self {
        // Whichever is free for both.
        let port = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = tcp.local_addr().unwrap().port();
            if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
                break port;
            }
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            port,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.file("store/x.db")
    }

    fn url(&self, carrier: &str) -> String {
        format!("{carrier}://127.0.0.1:{}", self.port)
    }

    fn counted(&self, carrier: &str, lines: u64) -> u64 {
        counted(&self.store(), &format!("syslog:{}", self.url(carrier)), lines).1
    }

    fn gaps(&self, carrier: &str) -> Vec<String> {
        gaps(&self.store(), &format!("syslog:{}", self.url(carrier)))
    }

    fn command(&self, urls: &[String], more: &[&str]) -> Command {
        let mut command = Command::new(PORTCULLIS);
        command
            .arg("--store")
            .arg(self.store())
            .args(["logs", "--follow", "--no-events"]);
        for url in urls {
            command.args(["--syslog", url]);
        }
        command.args(more);
        command
    }

    /// Begins to listen, and waits until it does.
    fn listen(&self, carriers: &[&str], more: &[&str]) -> Listening {
        let urls: Vec<String> = carriers.iter().map(|carrier| self.url(carrier)).collect();
        let mut child = self
            .command(&urls, more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = child.stderr.take().unwrap();
        let mut all = Vec::new();
        while !String::from_utf8_lossy(&all).contains("listening to") {
            let mut byte = [0];
            assert_eq!(
                said.read(&mut byte).unwrap(),
                1,
                "{}",
                String::from_utf8_lossy(&all)
            );
            all.extend(byte);
        }
        // A pipe that nobody reads would stop it.
        let rest = thread::spawn(move || {
            let mut text = String::new();
            let _ = said.read_to_string(&mut text);
            text
        });
        Listening {
            child,
            rest: Some(rest),
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }
}

struct Listening {
    child: Child,
    rest: Option<thread::JoinHandle<String>>,
}

impl Listening {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Ends it in good order; what it said.
    fn end(mut self) -> String {
        self.signal(Signal::SIGINT);
        self.child.wait().unwrap();
        self.rest.take().unwrap().join().unwrap()
    }
}

impl Drop for Listening {
    /// SIGKILL: nothing can be put in order.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn octets(lines: std::ops::Range<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for n in lines {
        let message = format!("<4>Nov 22 12:00:00 gw kernel: {}", line(n));
        bytes.extend(format!("{} {message}", message.len()).into_bytes());
    }
    bytes
}

fn logger(place: &Place, how: &[&str], lines: u64) {
    let text: String = (0..lines).map(|n| line(n) + "\n").collect();
    let file = place.file("lines");
    fs::write(&file, text).unwrap();
    let sent = Command::new("logger")
        .args(["--server", "127.0.0.1", "--tag", "kernel", "--port"])
        .arg(place.port.to_string())
        .args(how)
        .arg("--file")
        .arg(&file)
        .output()
        .unwrap();
    assert!(sent.status.success(), "{sent:?}");
}

#[test]
fn what_logger_sends_is_counted_in_each_of_its_ways() {
    let place = Place::new();
    let listening = place.listen(&["udp", "tcp"], &[]);
    logger(&place, &["--tcp", "--octet-count", "--rfc5424"], 40);
    assert_eq!(place.counted("tcp", 40), 40);
    logger(&place, &["--tcp", "--rfc3164"], 30);
    assert_eq!(place.counted("tcp", 70), 70);
    logger(&place, &["--udp", "--rfc5424"], 20);
    logger(&place, &["--udp", "--rfc3164"], 10);
    assert_eq!(place.counted("udp", 30), 30);
    let said = listening.end();
    assert!(!said.contains("gap"), "{said}");
    assert_eq!(place.gaps("tcp"), [] as [String; 0]);
}

#[test]
fn what_rsyslog_forwards_is_counted_in_both_framings() {
    for framing in ["octet-counted", "traditional"] {
        let place = Place::new();
        let _listening = place.listen(&["tcp"], &[]);
        let (log, work) = (place.file("kern.log"), place.file("work"));
        fs::create_dir(&work).unwrap();
        let text: String = (0..500).map(|n| line(n) + "\n").collect();
        fs::write(&log, text).unwrap();
        let config = place.file("rsyslog.conf");
        fs::write(
            &config,
            format!(
                r#"
                global(workDirectory="{}")
                module(load="imfile" mode="polling" pollingInterval="1")
                input(type="imfile" File="{}" Tag="kernel:" Severity="warning" Facility="kern")
                action(type="omfwd" target="127.0.0.1" port="{}" protocol="tcp" TCP_Framing="{framing}")
                "#,
                work.display(),
                log.display(),
                place.port
            ),
        )
        .unwrap();
        let modules = modules(Path::new(UNPACKED)).expect("`scripts/setup` unpacks rsyslog");
        let mut rsyslog = unpacked("sbin/rsyslogd")
            .arg("-n")
            .arg("-f")
            .arg(&config)
            .arg("-i")
            .arg(place.file("pid"))
            .arg("-M")
            .arg(modules)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let found = std::panic::catch_unwind(|| {
            until(|| {
                stored(&place.store(), &format!("syslog:{}", place.url("tcp")))
                    .is_some_and(|(_, events)| events >= 500)
            });
        });
        rsyslog.kill().unwrap();
        rsyslog.wait().unwrap();
        assert!(found.is_ok(), "{framing}: {:?}", place.gaps("tcp"));
        // It says, too, that it was started.
        let (stream, events) = stored(&place.store(), &format!("syslog:{}", place.url("tcp"))).unwrap();
        assert_eq!((events, stream.lines - stream.unrelated), (500, 500), "{framing}");
    }
}

/// The folder with rsyslog's modules.
fn modules(under: &Path) -> Option<PathBuf> {
    let libraries = fs::read_dir(under.join("usr/lib")).ok()?;
    libraries
        .flatten()
        .map(|entry| entry.path().join("rsyslog"))
        .find(|path| path.is_dir())
}

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{arguments}: {made:?}");
}

/// An authority, and two certificates by it: `ours` for the listener, `theirs` for a sender.
fn certificates(folder: &Path) {
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=plant",
    );
    for name in ["ours", "theirs"] {
        fs::write(folder.join("extension"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        openssl(
            folder,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
            ),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {name}.pem -extfile extension"
            ),
        );
    }
}

fn s_client(place: &Place, more: &[&str], bytes: &[u8]) -> bool {
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-no_ign_eof",
            "-verify_return_error",
            "-CAfile",
            "ca.pem",
            "-connect",
        ])
        .arg(format!("127.0.0.1:{}", place.port))
        .args(more)
        .current_dir(place.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Whoever is refused closes the pipe.
    let _ = client.stdin.take().unwrap().write_all(bytes);
    client.wait().unwrap().success()
}

#[test]
fn by_tls_only_those_with_a_certificate_are_heard_where_one_is_asked_for() {
    let place = Place::new();
    certificates(place.folder.path());
    let paths = ["ours.pem", "ours.key", "ca.pem"].map(|name| place.file(name).display().to_string());
    let [certificate, key, authority] = paths.each_ref().map(String::as_str);
    let own = ["--tls-cert", certificate, "--tls-key", key];
    let listening = place.listen(&["tls"], &own);
    assert!(s_client(&place, &["-tls1_3"], &octets(0..30)));
    assert!(s_client(&place, &["-tls1_2"], &octets(0..10)));
    assert_eq!(place.counted("tls", 40), 40);
    // Old versions are not spoken.
    s_client(
        &place,
        &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
        &octets(0..10),
    );
    until(|| !place.gaps("tls").is_empty());
    assert!(
        place.gaps("tls")[0].contains("was refused"),
        "{:?}",
        place.gaps("tls")
    );
    listening.end();

    let mutual = [&own[..], &["--tls-client-ca", authority]].concat();
    let listening = place.listen(&["tls"], &mutual);
    s_client(&place, &[], &octets(0..10));
    until(|| {
        place
            .gaps("tls")
            .iter()
            .filter(|gap| gap.contains("was refused"))
            .count()
            == 2
    });
    assert!(s_client(
        &place,
        &["-cert", "theirs.pem", "-key", "theirs.key"],
        &octets(0..20)
    ));
    assert_eq!(place.counted("tls", 60), 60);
    listening.end();

    for (files, code) in [
        (["ours.pem", "theirs.key"], "FO003"),
        (["ours.key", "ours.key"], "FO003"),
        (["ours.pem", "nowhere"], "FO003"),
    ] {
        let [certificate, key] = files.map(|name| place.file(name));
        let refused = place
            .command(&[place.url("tls")], &[])
            .arg("--tls-cert")
            .arg(certificate)
            .arg("--tls-key")
            .arg(key)
            .output()
            .unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(
            refused.status.code() == Some(2) && said.contains(code) && said.contains("hint: "),
            "{files:?}: {said}"
        );
    }
}

#[test]
fn what_is_no_message_is_told_and_ends_nobody_elses_connection() {
    let place = Place::new();
    let _listening = place.listen(&["tcp"], &[]);
    let mut other = place.connect();
    other.write_all(&octets(0..10)).unwrap();
    // Too long, in both ways; what follows is heard.
    let long = vec![b'x'; 70_000];
    let mut counted = place.connect();
    counted.write_all(b"70000 ").unwrap();
    counted.write_all(&long).unwrap();
    counted.write_all(&octets(0..5)).unwrap();
    let mut lines = place.connect();
    lines.write_all(b"<4>").unwrap();
    lines.write_all(&long).unwrap();
    writeln!(lines, "\n<4>Nov 22 12:00:00 gw kernel: {}", line(1)).unwrap();
    // Cut off by its end.
    let mut unfinished = place.connect();
    unfinished.write_all(b"<4>Nov 22 12:00:00 gw ker").unwrap();
    drop(unfinished);
    // No length where one must stand: closed.
    let mut broken = place.connect();
    broken.write_all(&octets(0..2)).unwrap();
    broken.write_all(b"no length").unwrap();
    let mut end = [0];
    assert!(matches!(broken.read(&mut end), Ok(0) | Err(_)));
    other.write_all(&octets(10..20)).unwrap();
    let (stream, events) = {
        place.counted("tcp", 20 + 5 + 1 + 2 + 4);
        stored(&place.store(), &format!("syslog:{}", place.url("tcp"))).unwrap()
    };
    assert_eq!((events, stream.unreadable), (28, 4));
}

#[test]
fn more_connections_than_are_taken_are_refused_and_told() {
    let place = Place::new();
    let _listening = place.listen(&["tcp"], &[]);
    let open: Vec<TcpStream> = (0..70).map(|_| place.connect()).collect();
    until(|| {
        place
            .gaps("tcp")
            .iter()
            .any(|gap| gap.contains("too many are open"))
    });
    let mut first = &open[0];
    first.write_all(&octets(0..10)).unwrap();
    assert_eq!(place.counted("tcp", 10), 10);
}

#[test]
fn killed_nothing_is_counted_twice_and_the_time_in_between_is_a_gap() {
    let place = Place::new();
    let listening = place.listen(&["tcp", "udp"], &[]);
    let mut sender = place.connect();
    sender.write_all(&octets(0..1000)).unwrap();
    place.counted("tcp", 1000);
    // Some of these may be counted, and some are lost with whoever was killed.
    sender.write_all(&octets(1000..3000)).unwrap();
    drop(listening);
    let (before, events) = stored(&place.store(), &format!("syslog:{}", place.url("tcp"))).unwrap();
    assert_eq!(before.lines, events);
    assert!((1000..=3000).contains(&events), "{events}");
    let listening = place.listen(&["tcp", "udp"], &[]);
    let mut sender = place.connect();
    sender.write_all(&octets(0..500)).unwrap();
    assert_eq!(place.counted("tcp", events + 500), events + 500);
    listening.end();
    for carrier in ["tcp", "udp"] {
        let gaps = place.gaps(carrier);
        assert!(
            gaps.len() == 1 && gaps[0].starts_with(&format!("nobody listened to {carrier}://")),
            "{gaps:?}"
        );
    }
}

#[test]
fn while_the_store_takes_nothing_a_sender_must_wait_and_nothing_is_lost() {
    let place = Place::new();
    let _listening = place.listen(&["tcp"], &[]);
    let mut sender = place.connect();
    sender.write_all(&octets(0..10)).unwrap();
    place.counted("tcp", 10);
    // Somebody else writes to the store and does not come to an end.
    let mut holder = Command::new("python3")
        .args([
            "-c",
            "import sqlite3, sys\n\
             c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n\
             c.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()",
        ])
        .arg(place.store())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = [0; 4];
    holder.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();

    let mut sent = 10;
    let mut rest: Vec<u8> = Vec::new();
    let mut moved = Instant::now();
    let mut bytes = 0_usize;
    sender.set_nonblocking(true).unwrap();
    // Until nothing is taken for two seconds.
    while moved.elapsed() < Duration::from_secs(2) {
        assert!(bytes < 200_000_000, "it takes without end");
        if rest.is_empty() {
            rest = octets(sent..sent + 500);
            sent += 500;
        }
        match sender.write(&rest) {
            Ok(count) => {
                rest.drain(..count);
                bytes += count;
                moved = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(10)),
            Err(error) => panic!("{error}"),
        }
    }
    drop(holder.stdin.take());
    holder.wait().unwrap();
    sender.set_nonblocking(false).unwrap();
    sender.write_all(&rest).unwrap();
    assert_eq!(place.counted("tcp", sent), sent);
    assert_eq!(place.gaps("tcp"), [] as [String; 0]);
}

#[test]
fn datagrams_that_the_kernel_threw_away_are_a_gap_with_their_number() {
    let place = Place::new();
    let listening = place.listen(&["udp"], &[]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let message = format!("<4>Nov 22 12:00:00 gw kernel: {}", line(1));
    let send = || {
        sender
            .send_to(message.as_bytes(), ("127.0.0.1", place.port))
            .unwrap();
    };
    send();
    place.counted("udp", 1);
    listening.signal(Signal::SIGSTOP);
    for _ in 0..60_000 {
        send();
    }
    listening.signal(Signal::SIGCONT);
    // The kernel tells with a datagram that comes afterwards.
    until(|| {
        let before = stored(&place.store(), &format!("syslog:{}", place.url("udp")));
        thread::sleep(Duration::from_millis(1500));
        before == stored(&place.store(), &format!("syslog:{}", place.url("udp")))
    });
    send();
    until(|| !place.gaps("udp").is_empty());
    let gap = place.gaps("udp").remove(0);
    let lost: u64 = gap
        .strip_prefix("the kernel threw away ")
        .and_then(|gap| gap.split(' ').next())
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(place.counted("udp", 60_002 - lost), 60_002 - lost, "{gap}");
}

#[test]
fn what_cannot_be_listened_at_is_an_error_that_says_why() {
    let place = Place::new();
    let _taken = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    for (url, code, exit, why) in [
        ("udp://127.0.0.1:0".to_owned(), "FO001", 2, "port 0"),
        ("localhost:514".into(), "FO001", 2, "by what"),
        ("udp://gw.example:514".into(), "FO001", 2, "IP address"),
        ("tls://127.0.0.1:6514".into(), "FO004", 2, "certificate"),
        ("\u{1b}[2Judp://x".into(), "FO001", 2, "only udp"),
        ("tcp://192.0.2.1:6514".into(), "FO002", 5, "ip address"),
        (place.url("tcp"), "FO002", 5, "another program"),
    ] {
        let refused = place.command(std::slice::from_ref(&url), &[]).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(exit), "{url:?}: {said}");
        assert!(
            said.contains(code) && said.contains(why) && said.contains("hint: "),
            "{url:?}: {said}"
        );
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
    let alone = place
        .command(&[place.url("tcp")], &["--tls-cert", "x", "--tls-key", "y"])
        .output()
        .unwrap();
    let said = String::from_utf8(alone.stderr).unwrap();
    assert!(alone.status.code() == Some(2) && said.contains("FO004"), "{said}");
}
