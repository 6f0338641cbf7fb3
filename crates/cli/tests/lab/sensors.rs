//! Sensors: a host of another network looks for the gateway, and both only dial out to a real NATS server between them.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    managed::UNPACKED,
    plant::{Ended, GATEWAY, GATEWAY_ADDRESS, PROGRAM, Plant, eventually},
};

/// Where the server is, between the gateway and the office.
const MEETING: &str = "engineering";
const SERVER: &str = "tls://10.7.20.5:4222";
const SOON: Duration = Duration::from_secs(20);

/// A plant with a NATS server that lets in only who has a certificate of its authority.
struct Met {
    plant: Plant,
    running: Vec<Child>,
}

impl Met {
    fn up() -> Self {
        let mut met = Self {
            plant: Plant::up(),
            running: Vec::new(),
        };
        met.certificates();
        met.start_server();
        // Sensors may make no streams.
        met.verify_port(&["this-host"]);
        met.verify_port(&["sensor:nobody"]).refused(5, "FB006");
        met
    }

    fn file(&self, name: &str) -> PathBuf {
        self.plant.folder().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().into()
    }

    /// An authority, and certificates by it for the server and for those who come.
    fn certificates(&self) {
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            command
                .args(arguments.split(' '))
                .current_dir(self.plant.folder());
            Ended::of(&mut command).with(0);
        };
        let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout";
        openssl(&format!("{new} ca.key -x509 -out ca.pem -days 2 -subj /CN=plant"));
        fs::write(self.file("extension"), "subjectAltName=IP:10.7.20.5\n").unwrap();
        for name in ["server", "verify", "north", "south"] {
            openssl(&format!("{new} {name}.key -out {name}.csr -subj /CN={name}"));
            openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {name}.pem -extfile extension"
            ));
        }
    }

    /// The server, in the place of the one before.
    fn start_server(&mut self) {
        let mut configuration = documented();
        for (from, to) in [
            ("0.0.0.0:4222".to_owned(), "10.7.20.5:4222".to_owned()),
            ("/var/lib/nats".to_owned(), self.path("jetstream")),
        ]
        .into_iter()
        .chain(["server.pem", "server.key", "ca.pem"].map(|name| (name.to_owned(), self.path(name))))
        {
            assert!(configuration.contains(&from), "{from}");
            configuration = configuration.replace(&from, &to);
        }
        fs::write(self.file("nats.conf"), configuration).unwrap();
        let script = format!(
            "echo $$ >{}; exec {UNPACKED}/usr/sbin/nats-server -c {}",
            self.path("server.pid"),
            self.path("nats.conf")
        );
        self.start(MEETING, &script, "server.log");
        self.plant.listens(MEETING, 4222);
    }

    fn start(&mut self, host: &str, script: &str, log: &str) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.file(log))
            .unwrap();
        let mut command = self.plant.command(host, "sh", &["-c", script]);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.running.push(command.spawn().unwrap());
    }

    fn signal(&self, host: &str, signal: &str, pid: &str) {
        let kill = format!("kill -{signal} $(cat {})", self.path(pid));
        self.plant.shell(host, &kill).with(0);
    }

    /// How somebody comes to the server.
    fn way(&self, who: &str) -> Vec<String> {
        let files = [
            ("--nats-ca", "ca.pem"),
            ("--nats-cert", &format!("{who}.pem")),
            ("--nats-key", &format!("{who}.key")),
        ];
        let mut way = vec!["--nats".to_owned(), SERVER.to_owned()];
        way.extend(
            files
                .iter()
                .flat_map(|(option, name)| [(*option).to_owned(), self.path(name)]),
        );
        way
    }

    /// A sensor with a store of its own; it is there when this returns.
    fn sensor(&mut self, host: &str, name: &str, more: &[&str]) {
        let command = [
            &[
                PROGRAM.to_owned(),
                "sensor".into(),
                name.into(),
                "--store".into(),
                self.path(&format!("{name}.sqlite")),
            ][..],
            &self.way(name),
            &more.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>(),
        ]
        .concat()
        .join(" ");
        let before = self.said(name).matches("is there").count();
        let script = format!("echo $$ >{}; exec {command}", self.path(&format!("{name}.pid")));
        self.start(host, &script, &format!("{name}.log"));
        eventually("the sensor is there", SOON, || {
            self.said(name).matches("is there").count() > before
        });
    }

    fn said(&self, name: &str) -> String {
        fs::read_to_string(self.file(&format!("{name}.log"))).unwrap_or_default()
    }

    fn verify(&self, subject: &str, from: &[&str]) -> Ended {
        let way = self.way("verify");
        let way: Vec<&str> = way.iter().map(String::as_str).collect();
        let from: Vec<&str> = from.iter().flat_map(|vantage| ["--from", vantage]).collect();
        self.plant
            .portcullis(GATEWAY, &[&["verify", subject], &from[..], &way].concat())
    }

    /// Closes the gateway's port for all but the engineers.
    fn closed(&self) -> String {
        let plan = self.plant.plan(&["--port", "54321", "--allow", "10.7.20.0/24"]);
        self.plant.apply(&plan, "120s");
        plan
    }
}

/// The configuration that docs/sensors.md gives, with a second sensor beside the first.
fn documented() -> String {
    let document = include_str!("../../../../docs/sensors.md");
    let block = document.split("```").nth(1).unwrap();
    let of_north = block
        .split("  north = ")
        .nth(1)
        .unwrap()
        .split("  users = ")
        .next()
        .unwrap();
    let of_south = of_north.replace("north", "south");
    let user = "    { user: \"CN=north\", permissions: $north }\n";
    assert!(block.contains(user), "{block}");
    block
        .replace("  users = ", &format!("  south = {of_south}  users = "))
        .replace(user, &format!("{user}{}", user.replace("north", "south")))
}

impl Drop for Met {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.said("server"));
        }
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The row of a table that begins with these two.
#[track_caller]
fn row<'a>(ended: &'a Ended, from: &str, to: &str) -> &'a str {
    let found = ended.stdout.lines().find(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(from) && words.next() == Some(to)
    });
    let told = || format!("no row from {from} to {to}: {}\n{}", ended.stdout, ended.stderr);
    found.ok_or_else(told).unwrap()
}

#[test]
fn a_sensor_proves_a_closing_from_its_own_network() {
    let mut met = Met::up();
    met.sensor("office", "north", &[]);
    met.sensor("engineering", "south", &[]);
    let before = met.verify_port(&["sensor:north"]);
    assert!(
        row(&before, "sensor:north", GATEWAY_ADDRESS).contains("open"),
        "{}",
        before.stdout
    );
    let plan = met.closed();
    let verified = met.verify(&plan, &["sensor:north", "sensor:south"]).with(0);
    let kept_out = row(&verified, "sensor:north", GATEWAY_ADDRESS);
    for word in ["no-answer", "answered", "blocked", "proved closed"] {
        assert!(kept_out.contains(word), "{word}: {kept_out}");
    }
    assert!(row(&verified, "sensor:south", GATEWAY_ADDRESS).contains("open, as it should be"));
    // Who is there is a vantage without being named.
    let all = met.verify(&plan, &[]).with(0);
    assert!(row(&all, "sensor:north", GATEWAY_ADDRESS).contains("proved closed"));
    row(&all, "lab:office", GATEWAY_ADDRESS);
    // What was done is in the record of the sensor.
    let record = met
        .plant
        .portcullis("office", &["audit", "list", "--store", &met.path("north.sqlite")]);
    assert!(record.with(0).stdout.contains("sensor.look"));
    // The rights of the document were enough, and are no more than needed to ask in another's name.
    assert!(
        !met.said("server").contains("Violation"),
        "{}",
        met.said("server")
    );
    fs::write(met.file("junk.py"), JUNK.replace("verify.", "south.")).unwrap();
    let junk = met.path("junk.py");
    let mut forger = met.plant.command(MEETING, "python3", &[&junk]);
    forger.current_dir(met.plant.folder()).status().unwrap();
    eventually("the server refuses it", SOON, || {
        met.said("server").contains("Publish Violation")
    });
    assert!(!met.said("north").contains("is no look"), "{}", met.said("north"));
}

impl Met {
    fn verify_port(&self, from: &[&str]) -> Ended {
        self.verify("--port=54321", from)
    }
}

#[test]
fn a_look_survives_a_killed_sensor_and_a_server_that_starts_again() {
    let mut met = Met::up();
    met.sensor("office", "north", &[]);
    let plan = met.closed();
    // It has the look, and dies before it says what it saw.
    met.signal("office", "STOP", "north.pid");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| met.verify(&plan, &["sensor:north"]));
        eventually("the look is asked for", SOON, || {
            let stored = fs::read_dir(met.file("jetstream/jetstream/$G/streams/PORTCULLIS_LOOKS/msgs"));
            stored.is_ok_and(|mut files| files.any(|file| file.unwrap().metadata().unwrap().len() > 0))
        });
        met.signal("office", "KILL", "north.pid");
        let way = met.way("north").join(" ");
        let again = format!(
            "{PROGRAM} sensor north --store {} {way} >>{} 2>&1 & echo $! >{}",
            met.path("north.sqlite"),
            met.path("north.log"),
            met.path("north.pid")
        );
        met.plant.shell("office", &again).with(0);
        let verified = asked.join().unwrap().with(0);
        assert!(row(&verified, "sensor:north", GATEWAY_ADDRESS).contains("proved closed"));
    });
    // The server goes while the sensor looks, and comes back: both wait for it.
    let looks = met.said("north").matches(" for root on").count();
    let way = met.way("verify").join(" ");
    let asked = format!(
        "{PROGRAM} verify {plan} --from sensor:north {way} >{} 2>&1; echo $? >>{}",
        met.path("asked"),
        met.path("asked")
    );
    met.start(GATEWAY, &asked, "asked.log");
    let record = met.path("north.sqlite");
    eventually("the sensor looks", SOON, || {
        let record = met
            .plant
            .portcullis("office", &["audit", "list", "--store", &record]);
        record.stdout.matches("sensor.look").count() > looks
    });
    met.signal(MEETING, "KILL", "server.pid");
    eventually("the sensor tells it", SOON, || {
        met.said("north").contains("is lost, and tried again")
    });
    met.start_server();
    eventually("the answer arrives", Duration::from_secs(45), || {
        fs::read_to_string(met.file("asked")).is_ok_and(|asked| asked.ends_with("\n0\n"))
    });
    assert!(
        fs::read_to_string(met.file("asked"))
            .unwrap()
            .contains("proved closed")
    );
    met.signal("office", "INT", "north.pid");
}

#[test]
fn who_is_not_there_may_not_look_or_is_not_what_it_says_is_told_apart() {
    let mut met = Met::up();
    met.verify_port(&["sensor:north"]).refused(5, "FB006");
    // An own site that does not have the gateway.
    let site = "[site]\nname = \"elsewhere\"\n[[zone]]\nname = \"far\"\nnetworks = [\"192.0.2.0/24\"]\n";
    fs::write(met.file("far.toml"), site).unwrap();
    let far = met.path("far.toml");
    met.sensor("office", "north", &["--config", &far]);
    let refused = met.verify_port(&["sensor:north"]).refused(4, "FB009");
    assert!(refused.stderr.contains("10.7.10.10"), "{}", refused.stderr);
    assert!(met.said("north").contains("refused"));
    // Another host of that name.
    let way = met.way("north");
    let way: Vec<&str> = way.iter().map(String::as_str).collect();
    met.plant
        .portcullis("internet", &[&["sensor", "north"], &way[..]].concat())
        .refused(4, "FB011");
    // What is no look is not heard, and holds nobody up.
    fs::write(met.file("junk.py"), JUNK).unwrap();
    met.plant
        .command(MEETING, "python3", &[&met.path("junk.py")])
        .current_dir(met.plant.folder())
        .status()
        .unwrap();
    eventually("the sensor tells it", SOON, || {
        met.said("north").contains("is no look")
    });
    assert!(!met.said("north").contains('\u{1b}'), "{}", met.said("north"));
    // Nor does it look at its own host for anybody.
    let look = r#"{"version":1,"run":"00112233445566ff","asked_by":"me","port":"tcp/7000","targets":[{"address":"::ffff:127.0.0.1","control":null}]}"#;
    fs::write(
        met.file("junk.py"),
        JUNK.replace(r#"{"version":1,"run":"\x1b[31m"}"#, look),
    )
    .unwrap();
    met.plant
        .command(MEETING, "python3", &[&met.path("junk.py")])
        .current_dir(met.plant.folder())
        .status()
        .unwrap();
    eventually("the sensor refuses", SOON, || {
        met.said("north").contains("is a loopback address")
    });
    met.verify_port(&["sensor:north"]).refused(4, "FB009");
    // A permission that has the port and not the control: it looks, and silence proves nothing.
    let permission = "[permission]\nowner = \"me\"\ncontact = \"here\"\nranges = [\"10.7.10.10/32\", \"2001:db8:7:10::a/128\"]\n\
                      ports = [\"tcp/54321\"]\nper_host = \"50/s\"\nexpires = \"2099-01-01T00:00:00Z\"\n";
    fs::write(met.file("permission.toml"), permission).unwrap();
    let permission = met.path("permission.toml");
    met.sensor("internet", "south", &["--permission", &permission]);
    let plan = met.plant.plan(&["--port", "54321"]);
    met.plant.apply(&plan, "120s");
    let silent = met.verify(&plan, &["sensor:south"]).with(3);
    for word in ["no-answer", "none", "cannot conclude"] {
        assert!(
            row(&silent, "sensor:south", GATEWAY_ADDRESS).contains(word),
            "{}",
            silent.stdout
        );
    }
    fs::remove_file(&permission).unwrap();
    met.verify_port(&["sensor:south"]).refused(4, "FB009");
    // One vantage of two: the other one's answer counts, and who did not look is told.
    let both = met.verify_port(&["sensor:north", "this-host"]);
    assert!(
        both.stdout.contains("Nobody looked: sensor north refuses"),
        "{}",
        both.stdout
    );
    // A sensor that nobody could ask, or that could look at nothing.
    for (options, error) in [("", "CL008"), ("--nats nats://127.0.0.1:4222", "OP041")] {
        let sensor = format!("unset PORTCULLIS_CONFIG; exec {PROGRAM} sensor lost {options}");
        met.plant.shell("office", &sensor).refused(2, error);
    }
    for (server, error, code) in [
        ("nats://10.7.20.5:4222", "FB001", 2),
        ("https://x", "FB002", 2),
        ("tls://10.7.20.5:1", "FB004", 5),
    ] {
        met.plant
            .portcullis(GATEWAY, &["verify", "--port", "54321", "--nats", server])
            .refused(code, error);
    }
}

/// Says what is no look, as the protocol of NATS has it.
const JUNK: &str = r#"
import socket, ssl
context = ssl.create_default_context(cafile="ca.pem")
context.load_cert_chain("verify.pem", "verify.key")
plain = socket.create_connection(("10.7.20.5", 4222))
plain.recv(65536)
server = context.wrap_socket(plain, server_hostname="10.7.20.5")
junk = b'{"version":1,"run":"\x1b[31m"}'
server.sendall(b'CONNECT {"verbose":false,"tls_required":true}\r\nPUB portcullis.look.north %d\r\n%s\r\nPING\r\n' % (len(junk), junk))
server.recv(65536)
"#;
