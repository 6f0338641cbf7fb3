//! What happens in the copy. The process that gets here has namespaces of its own for network, processes and mounts:
//! nothing that it does reaches the host, and with its end all is gone.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    process::Command,
    thread,
    time::Duration,
};

use portcullis_firewall::{backend, closing::Closing, nftables, own::Own};
use portcullis_model::{Port, Transport};
use portcullis_sys::{Machine, isolation, namespace::Network};

use super::{Answer, Row, Scenery, Witness};

const PATIENCE: Duration = Duration::from_secs(30);

/// How long a probe waits for an answer: in the copy everything is on the same machine.
const ANSWER: Duration = Duration::from_millis(1200);

/// Longer than a rehearsal takes; it takes the change back itself.
const TRIAL: Duration = Duration::from_secs(120);

const TAG: &str = "0e4ea5";

/// Starts the first process of the new process-id namespace and waits for it.
///
/// # Errors
/// When it cannot be started.
pub fn first_process() -> io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["rehearsal", "--inside"]);
    isolation::die_with_parent(&mut command);
    command.status().map(|_| ())
}

/// Reads what is to be set up from standard input, rehearses, and writes what came of it to standard output.
///
/// # Errors
/// When standard input or output fails.
pub fn perform() -> io::Result<()> {
    let mut described = String::new();
    io::stdin().read_to_string(&mut described)?;
    let answer = match serde_json::from_str::<Scenery>(&described) {
        Ok(scenery) => rehearse(&scenery).unwrap_or_else(Answer::Failed),
        Err(error) => Answer::Failed(error.to_string()),
    };
    io::stdout().write_all(&serde_json::to_vec(&answer)?)
}

fn rehearse(scenery: &Scenery) -> Result<Answer, String> {
    let shown = |error: &dyn std::error::Error| {
        std::iter::successors(Some(error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    };
    isolation::mount_plant().map_err(|error| shown(&error))?;
    let outside = Network::new().map_err(|error| shown(&error))?;
    connect(scenery, &outside)?;
    load(scenery)?;
    let _service = listen(scenery)?;
    let ruleset = || {
        let read = nftables::read(&Machine::Here).map_err(|error| shown(&error))?;
        Ok::<_, String>((read.foreign, read.own == Own::default()))
    };
    let before = ruleset()?;
    let answers = || probe_all(scenery, &outside);
    let open_before = answers()?;
    let closing = Closing::new(TAG, scenery.port, scenery.allow.clone());
    let backend = backend::of(scenery.backend);
    backend
        .load(&closing, Some(TRIAL), &Own::default())
        .run("change", &Machine::Here)
        .map_err(|error| shown(&error))?;
    let open_on_trial = answers()?;
    let own = backend::own(&Machine::Here).map_err(|error| shown(&error))?;
    let loaded = own
        .changes
        .get(TAG)
        .ok_or("the change is not there after it was loaded")?;
    loaded
        .removal
        .run_all("change", &Machine::Here)
        .map_err(|error| shown(&error))?;
    let open_after = answers()?;
    let own_after = backend::own(&Machine::Here).map_err(|error| shown(&error))?;
    let seen = open_before.into_iter().zip(open_on_trial).zip(open_after);
    let rows = scenery.witnesses.iter().zip(seen);
    let rows = rows.map(|(witness, ((before, on_trial), after))| Row {
        name: witness.name.clone(),
        from: witness.from,
        to: witness.to,
        allowed: witness.interface.is_none() || scenery.allow.contains(witness.from),
        before,
        on_trial,
        after,
    });
    Ok(Answer::Done {
        rows: rows.collect(),
        restored: ruleset()? == before && own_after.changes.is_empty(),
    })
}

fn run(program: &str, arguments: &[&str], stdin: &str) -> Result<(), String> {
    let finished =
        portcullis_sys::run(program, arguments, stdin, PATIENCE).map_err(|error| error.to_string())?;
    if finished.success {
        return Ok(());
    }
    let said: Vec<&str> = finished.stderr.lines().take(3).map(str::trim).collect();
    Err(format!("{program} says: {}", said.join(" ")))
}

fn ip(arguments: &str) -> Result<(), String> {
    run("ip", &arguments.split(' ').collect::<Vec<_>>(), "")
}

/// The interfaces of the host by their names, each a cable to the outside, where the witnesses are.
fn connect(scenery: &Scenery, outside: &Network) -> Result<(), String> {
    ip("link set lo up")?;
    let here = std::process::id();
    let entered = |work: &(dyn Fn() -> Result<(), String> + Sync)| {
        outside.run(work).map_err(|error| error.to_string())?
    };
    for (number, interface) in scenery.interfaces.iter().enumerate() {
        let (name, cable) = (&interface.name, format!("cable{number}"));
        entered(&|| {
            ip(&format!(
                "link add {cable} type veth peer name {name} netns {here}"
            ))?;
            ip(&format!("link set {cable} up"))
        })?;
        for address in &interface.addresses {
            let duplicates = if address.addr().is_ipv6() { " nodad" } else { "" };
            ip(&format!("addr add {address} dev {name}{duplicates}"))?;
        }
        ip(&format!("link set {name} up"))?;
        let by_this = scenery
            .witnesses
            .iter()
            .filter(|witness| witness.interface.as_ref() == Some(name));
        for Witness { from, to, .. } in by_this {
            let (whole, duplicates) = if from.is_ipv6() { (128, " nodad") } else { (32, "") };
            ip(&format!("route replace {from}/{whole} dev {name}"))?;
            entered(&|| {
                ip(&format!("addr replace {from}/{whole} dev {cable}{duplicates}"))?;
                ip(&format!("route replace {to}/{whole} dev {cable}"))
            })?;
        }
    }
    Ok(())
}

/// The rules of the host.
fn load(scenery: &Scenery) -> Result<(), String> {
    let again = |why: String| format!("the ruleset of this host cannot be loaded a second time: {why}");
    if let Some(text) = scenery.nftables.as_ref().filter(|text| !text.trim().is_empty()) {
        run("nft", &["-f", "-"], text).map_err(again)?;
    }
    let tools = ["iptables-legacy-restore", "ip6tables-legacy-restore"];
    for (tool, saved) in tools.into_iter().zip(&scenery.legacy) {
        if let Some(saved) = saved {
            run(tool, &[], saved).map_err(again)?;
        }
    }
    Ok(())
}

/// Stand-ins for the service, which live as long as what is returned and answer as little as possible.
fn listen(scenery: &Scenery) -> Result<Vec<TcpListener>, String> {
    let mut addresses = scenery.listeners.clone();
    if addresses.is_empty() {
        addresses.extend(
            ["::", "0.0.0.0"]
                .iter()
                .filter_map(|text| text.parse::<IpAddr>().ok()),
        );
    }
    let mut listeners = Vec::new();
    let (mut served, mut failure) = (0, String::new());
    for address in addresses {
        let end = SocketAddr::new(address, scenery.port.number);
        let bound = match scenery.port.transport {
            Transport::Tcp => TcpListener::bind(end).map(|listener| listeners.push(listener)),
            Transport::Udp => UdpSocket::bind(end).map(|socket| {
                thread::spawn(move || echo(&socket));
            }),
        };
        match bound {
            Ok(()) => served += 1,
            Err(error) => failure = format!("{end}: {error}"),
        }
    }
    // One that listens on both families leaves nothing to listen on for the second.
    if served == 0 {
        return Err(format!("nothing can listen in the copy: {failure}"));
    }
    Ok(listeners)
}

fn echo(socket: &UdpSocket) {
    let mut byte = [0];
    while let Ok((_, peer)) = socket.recv_from(&mut byte) {
        let _ = socket.send_to(&byte, peer);
    }
}

/// Whether the port answers each witness, all asked at the same time.
fn probe_all(scenery: &Scenery, outside: &Network) -> Result<Vec<bool>, String> {
    thread::scope(|scope| {
        let probes: Vec<_> = scenery
            .witnesses
            .iter()
            .map(|witness| {
                scope.spawn(move || match witness.interface {
                    Some(_) => outside.run(|| probe(witness, scenery.port)).unwrap_or(false),
                    None => probe(witness, scenery.port),
                })
            })
            .collect();
        let panicked = |_| "a probe ended with a panic".to_owned();
        probes
            .into_iter()
            .map(|probe| probe.join().map_err(panicked))
            .collect()
    })
}

fn probe(witness: &Witness, port: Port) -> bool {
    let (from, to) = (
        SocketAddr::new(witness.from, 0),
        SocketAddr::new(witness.to, port.number),
    );
    match port.transport {
        Transport::Tcp => connects(from, to),
        Transport::Udp => asks(from, to).unwrap_or(false),
    }
}

fn connects(from: SocketAddr, to: SocketAddr) -> bool {
    let domain = if to.is_ipv4() {
        socket2::Domain::IPV4
    } else {
        socket2::Domain::IPV6
    };
    let Ok(socket) = socket2::Socket::new(domain, socket2::Type::STREAM, None) else {
        return false;
    };
    socket.bind(&from.into()).is_ok() && socket.connect_timeout(&to.into(), ANSWER).is_ok()
}

fn asks(from: SocketAddr, to: SocketAddr) -> io::Result<bool> {
    let socket = UdpSocket::bind(from)?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.connect(to)?;
    socket.send(b"?")?;
    Ok(socket.recv(&mut [0]).is_ok())
}
