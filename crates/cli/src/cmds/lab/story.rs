//! `portcullis lab run`: the whole loop in the miniature plant, with the program's own commands. Each step is a command
//! that can be typed in `portcullis lab shell HOST`; nothing is shown that the command did not print.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use portcullis_lab::{Lab, LabError, SysError};
use portcullis_model::Exit;
use serde_json::Value;

use super::{Outcome, hosts, say};
use crate::cmds::fault;

const GATEWAY: &str = "mdm-gateway";
const CONTROL_HOSTS: &str = "10.7.10.10-14";
const GATEWAY_PORT: &str = "10.7.10.10:54321";
/// Long enough for a look from every vantage, short enough to wait for its end.
const TRIAL: &str = "12s";
/// The kernel's clock ticks; a set element goes within a second of its time, and one more is grace.
const GRACE: Duration = Duration::from_secs(2);

pub(super) fn run(lab: &Lab) -> Outcome {
    let begin = Instant::now();
    title("A miniature plant on this machine");
    stop_with_signal(lab);
    let (_running, mut keeper) = lab.up_with_us().map_err(fault)?;
    say(&hosts());
    say("\nThe network, the kernel, the firewall and the database are real. The devices are stand-ins.");
    let told = Story { lab }.tell();
    let _ = keeper.kill();
    let _ = keeper.wait();
    lab.down().map_err(fault)?;
    let (passed, failed) = told.map_err(fault)?;
    title("End");
    say(&format!(
        "{passed} expectations met, {} not met, {:.0} s. The plant is gone; this machine's own network and firewall were \
         never touched.",
        failed.len(),
        begin.elapsed().as_secs_f32()
    ));
    for expectation in &failed {
        say(&format!("NOT MET: {expectation}"));
    }
    Ok(if failed.is_empty() {
        Exit::Clean
    } else {
        Exit::Failed
    })
}

/// On Ctrl-C or termination the plant is taken away before the program ends.
fn stop_with_signal(lab: &Lab) {
    let lab = lab.clone();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(crate::stop::next_signal());
        // Whatever cannot be removed now, `lab down` removes.
        let _ = lab.down();
        crate::report::eprintln_all("\nstopped; the plant is gone");
        std::process::exit(i32::from(Exit::Failed.code()));
    });
}

struct Story<'a> {
    lab: &'a Lab,
}

/// What was expected: how many times it came true, and what did not.
type Expectations = (usize, Vec<String>);

impl Story<'_> {
    fn tell(&self) -> Result<Expectations, LabError> {
        let mut expect = Expecting::default();
        self.find(&mut expect)?;

        title("4  Three connections that are up, to watch them through the change");
        let office = self.hold("office", GATEWAY_PORT, None)?;
        let engineering = self.hold("engineering", GATEWAY_PORT, None)?;
        let outgoing = self.hold(GATEWAY, "10.7.20.5:7000", Some(54321))?;
        for connection in [&office, &engineering, &outgoing] {
            say(&format!(
                "{}: {}",
                connection.host,
                connection.line(Duration::from_secs(5))
            ));
        }
        say(
            "The last one is the gateway's own, to the historian; its source port happens to be the one to be closed.",
        );

        title("5  Plan: who is cut, who still gets through");
        let exposure = self.first_exposure()?;
        let before = self.ruleset()?;
        let planned = self.run(GATEWAY, &["plan", &exposure], Exit::Clean, &mut expect)?;
        let plan = planned
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .trim_end_matches(':')
            .to_owned();
        expect.that(
            "the plan names the office connection as cut",
            planned.contains("CUT"),
        );

        title("6  Measure before the change");
        self.run(GATEWAY, &["verify", &plan], Exit::Found, &mut expect)?;

        title("7  Apply on trial, and look at the firewall's own log while proving it");
        let change = self.apply(&plan, &mut expect)?;
        let log = self.background(
            GATEWAY,
            &["logs", "--nflog", "54", "--for", "6s", "--port", "54321"],
        )?;
        log.wait_for("listening", Duration::from_secs(5));
        let proof = self.run(GATEWAY, &["verify", &change], Exit::Clean, &mut expect)?;
        expect.that("the port is proved closed", proof.contains("proved closed"));
        say(&format!("office: {}", office.line(Duration::from_secs(5))));
        expect.that("the office connection was cut", office.last().starts_with("cut"));
        let logged = log.rest();
        say(&format!(
            "\n[{GATEWAY}] $ portcullis logs --nflog 54 --for 6s --port 54321\n{logged}"
        ));
        expect.that(
            "the log shows the office and the internet",
            logged.contains("10.7.30.5") && logged.contains("203.0.113.5"),
        );

        title("8  Nobody confirms: the kernel lets go by itself");
        self.wait_for_end_of_trial(&change)?;
        self.run(GATEWAY, &["verify", &plan], Exit::Found, &mut expect)?;
        self.run(GATEWAY, &["changes"], Exit::Clean, &mut expect)?;
        expect.that(
            "the ruleset is what it was before (counters aside)",
            self.ruleset()? == before,
        );

        title("9  Apply again, prove, confirm over a new connection");
        let change = self.apply(&plan, &mut expect)?;
        self.run(GATEWAY, &["verify", &change], Exit::Clean, &mut expect)?;
        self.run(GATEWAY, &["confirm", &change], Exit::Clean, &mut expect)?;
        self.run(
            "engineering",
            &["scan", "10.7.10.10", "--ports", "54321", "--quiet"],
            Exit::Clean,
            &mut expect,
        )?;
        for (connection, name) in [(engineering, "engineering"), (outgoing, "the gateway's own")] {
            expect.that(
                &format!("the connection of {name} lives on"),
                connection.last().starts_with("connected"),
            );
        }

        title("10  Put everything back");
        self.run(GATEWAY, &["rollback", &change], Exit::Clean, &mut expect)?;
        self.run(GATEWAY, &["changes"], Exit::Clean, &mut expect)?;
        expect.that(
            "the ruleset is what it was before (counters aside)",
            self.ruleset()? == before,
        );
        self.run(GATEWAY, &["audit", "verify"], Exit::Clean, &mut expect)?;
        Ok((expect.met, expect.missed))
    }

    /// Steps 1 to 3: what listens, what is seen from where, and what of that is an exposure.
    fn find(&self, expect: &mut Expecting) -> Result<(), LabError> {
        title("1  On the gateway: what listens on 54321?");
        self.run(GATEWAY, &["check", "--port", "54321"], Exit::Clean, expect)?;

        title("2  From the internet, the office and engineering: what answers?");
        let seen = self.run(
            "internet",
            &["scan", CONTROL_HOSTS, "--quiet"],
            Exit::Clean,
            expect,
        )?;
        expect.that(
            "silence on 54321 is no more than possible",
            seen.contains("moxa-mdm-gateway (possible)"),
        );
        let page = "10.7.10.12 tcp/5000: moxa-mdm-gateway is ruled-out";
        expect.that("the web page on 5000 is ruled out", seen.contains(page));
        for host in ["office", "engineering"] {
            self.quietly(host, &["scan", CONTROL_HOSTS, "--quiet"])?;
        }
        for host in ["internet", "office", "engineering"] {
            self.quietly(host, &["scan", "2001:db8:7:10::a", "--ports", "54321", "--quiet"])?;
        }
        say(
            "\nThe same was asked from office and engineering, and over IPv6 from all three, without printing it.",
        );

        title("3  Held against the conduits of site.toml: what should not be reachable?");
        let listed = self.run("engineering", &["exposures"], Exit::Found, expect)?;
        let permitted = |line: &str| line.contains("moxa-mdm-gateway") && line.contains("lab:engineering");
        expect.that(
            "what engineering may reach is no exposure",
            !listed.lines().any(permitted),
        );
        Ok(())
    }

    fn apply(&self, plan: &str, expect: &mut Expecting) -> Result<String, LabError> {
        let applied = self.run(GATEWAY, &["apply", plan, "--trial", TRIAL], Exit::Clean, expect)?;
        Ok(applied.split_whitespace().nth(1).unwrap_or_default().to_owned())
    }

    /// Runs a command of Portcullis on a host, shows it and what it prints, and expects how it ends.
    fn run(
        &self,
        host: &str,
        arguments: &[&str],
        expected: Exit,
        expect: &mut Expecting,
    ) -> Result<String, LabError> {
        say(&format!("\n[{host}] $ portcullis {}", arguments.join(" ")));
        let (text, code) = self.quietly(host, arguments)?;
        say(text.trim_end());
        let what = format!(
            "`portcullis {}` on {host} ends with {}",
            arguments.join(" "),
            expected.code()
        );
        expect.that(&what, code == Some(i32::from(expected.code())));
        Ok(text)
    }

    fn quietly(&self, host: &str, arguments: &[&str]) -> Result<(String, Option<i32>), LabError> {
        let output = self
            .command(host, arguments)?
            .stdin(Stdio::null())
            .output()
            .map_err(|source| start_error("portcullis", source))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((text, output.status.code()))
    }

    fn command(&self, host: &str, arguments: &[&str]) -> Result<Command, LabError> {
        let program = std::env::current_exe().map_err(|source| start_error("portcullis", source))?;
        let mut command = self.lab.command(host, &program.to_string_lossy())?;
        command.args(arguments);
        Ok(command)
    }

    fn hold(&self, host: &'static str, peer: &str, source_port: Option<u16>) -> Result<Background, LabError> {
        let port = source_port.map(|port| port.to_string());
        let mut arguments = vec!["lab", "hold", peer, "--for", "90s"];
        if let Some(port) = &port {
            arguments.extend(["--source-port", port]);
        }
        self.background(host, &arguments)
    }

    fn background(&self, host: &'static str, arguments: &[&str]) -> Result<Background, LabError> {
        let mut command = self.command(host, arguments)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|source| start_error("portcullis", source))?;
        Ok(Background::of(host, child))
    }

    fn first_exposure(&self) -> Result<String, LabError> {
        let (text, _) = self.quietly(GATEWAY, &["exposures", "--format", "json", "--quiet"])?;
        let exposures: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        let of_gateway = exposures
            .iter()
            .find(|exposure| exposure.get("address").and_then(Value::as_str) == Some("10.7.10.10"));
        let id = of_gateway
            .and_then(|exposure| exposure.get("id")?.as_str())
            .unwrap_or_default();
        Ok(id.chars().take(6).collect())
    }

    /// The gateway's whole ruleset, without counters.
    fn ruleset(&self) -> Result<String, LabError> {
        let mut command = self.lab.command(GATEWAY, "nft")?;
        let output = command.args(["-s", "list", "ruleset"]).output();
        let output = output.map_err(|source| start_error("nft", source))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until the kernel has let go, without any process of Portcullis running on the gateway: it asks `nft`.
    fn wait_for_end_of_trial(&self, change: &str) -> Result<(), LabError> {
        say("No process of Portcullis runs on the gateway now; the kernel alone counts the time.");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) + GRACE {
            let mut command = self.lab.command(GATEWAY, "nft")?;
            let output = command
                .args(["list", "set", "inet", "portcullis", &format!("ports_{change}")])
                .output();
            let listed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            if !listed
                .map_err(|source| start_error("nft", source))?
                .contains("elements")
            {
                break;
            }
            thread::sleep(Duration::from_millis(200));
        }
        say(&format!(
            "After {:.1} s the set with the closed port is empty.",
            begin.elapsed().as_secs_f32()
        ));
        Ok(())
    }
}

fn start_error(program: &str, source: std::io::Error) -> LabError {
    LabError::System {
        act: "run a command in",
        source: SysError::Start {
            program: program.into(),
            source,
        },
    }
}

#[derive(Default)]
struct Expecting {
    met: usize,
    missed: Vec<String>,
}

impl Expecting {
    fn that(&mut self, what: &str, came_true: bool) {
        if came_true {
            self.met += 1;
        } else {
            self.missed.push(what.to_owned());
        }
    }
}

/// A command that runs beside the story. It ends with the plant.
struct Background {
    host: &'static str,
    child: Child,
    lines: Receiver<String>,
    last: std::cell::RefCell<String>,
}

impl Background {
    fn of(host: &'static str, mut child: Child) -> Self {
        let (sender, lines) = channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let further = sender.clone();
        thread::spawn(move || {
            for line in stdout
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).lines())
                .map_while(Result::ok)
            {
                let _ = sender.send(line);
            }
        });
        thread::spawn(move || {
            for line in stderr
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).lines())
                .map_while(Result::ok)
            {
                let _ = further.send(line);
            }
        });
        Self {
            host,
            child,
            lines,
            last: std::cell::RefCell::default(),
        }
    }

    /// The next line, or an empty one when none comes in time.
    fn line(&self, patience: Duration) -> String {
        let line = self.lines.recv_timeout(patience).unwrap_or_default();
        if !line.is_empty() {
            self.last.replace(line.clone());
        }
        line
    }

    /// The last line so far.
    fn last(&self) -> String {
        while let Ok(line) = self.lines.try_recv() {
            self.last.replace(line);
        }
        self.last.borrow().clone()
    }

    fn wait_for(&self, word: &str, patience: Duration) {
        let end = Instant::now() + patience;
        while Instant::now() < end && !self.line(Duration::from_millis(100)).contains(word) {}
    }

    /// All further lines, up to the end of the command.
    fn rest(mut self) -> String {
        let mut text = String::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(30)) {
            text.push_str(&format!("{line}\n"));
        }
        let _ = self.child.wait();
        text.trim_end().to_owned()
    }
}

fn title(text: &str) {
    say(&format!(
        "\n=== {text} {}",
        "=".repeat(90_usize.saturating_sub(text.len()))
    ));
}
