//! What runs inside: the keeper, which stays outside the process-id namespace, and the plant's first process.

use std::{
    io::{self, Write},
    process::{Child, ChildStdin, Command, Stdio},
};

use portcullis_sys::{SysError, isolation, namespace::Network};

use crate::{
    Lab, LabError,
    handshake::{line_of, say_ready, say_ready_as},
    network,
    plant::{GATEWAY_FIREWALL, HOSTS, Host},
    state::{Hosts, own_program},
};

/// Keeps the plant: starts its first process, says `ready PID` when it is complete, and waits for its end.
///
/// # Errors
/// When the plant cannot be built.
pub fn keep() -> Result<(), LabError> {
    let mut command = Command::new(own_program());
    command
        .args(["lab", "plant"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    isolation::die_with_parent(&mut command);
    let mut plant = command
        .spawn()
        .map_err(|source| start_error("portcullis", source))?;
    if line_of(&mut plant) != "ready" {
        let _ = plant.wait();
        return Err(LabError::Start("its first process ended".into()));
    }
    say_ready_as(plant.id());
    let _ = plant.wait();
    Ok(())
}

/// Builds the plant and stays as its first process. Whatever ends it ends the plant.
///
/// # Errors
/// When the plant cannot be built; the kernel then removes what was built.
pub fn plant(lab: &Lab) -> Result<(), LabError> {
    let system = |act| move |source: SysError| LabError::System { act, source };
    isolation::mount_plant().map_err(system("build"))?;
    network::build_router()?;
    let mut hosts = Vec::new();
    for host in &HOSTS {
        hosts.push((host, start_host(host)?));
    }
    for (host, process) in &hosts {
        network::plug_in(network::position(host), host, process.child.id())?;
    }
    let gateway = Network::of_process(pid_of(&hosts, "mdm-gateway")).map_err(system("build"))?;
    network::run_inside(
        "mdm-gateway",
        "nft",
        &["-f", "-"],
        GATEWAY_FIREWALL,
        Some(&gateway),
    )?;
    // Now that every cable is plugged in, the devices may begin to talk.
    for (host, process) in &mut hosts {
        process
            .begin()
            .map_err(|source| LabError::Start(format!("{}: {source}", host.name)))?;
    }
    let pids = hosts
        .iter()
        .map(|(host, process)| (host.name.to_owned(), process.child.id()))
        .collect();
    lab.note_hosts(&Hosts(pids))?;
    say_ready();
    reap_for_ever()
}

struct HostProcess {
    child: Child,
    go: ChildStdin,
}

impl HostProcess {
    /// Lets the device begin and waits until it listens.
    fn begin(&mut self) -> io::Result<()> {
        self.go.write_all(b"go\n")?;
        if line_of(&mut self.child) == "ready" {
            Ok(())
        } else {
            Err(io::Error::other("it did not begin to listen"))
        }
    }
}

fn start_host(host: &Host) -> Result<HostProcess, LabError> {
    let mut command = Command::new(own_program());
    command
        .args(["lab", "device", host.name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    isolation::as_host(&mut command, host.name);
    let mut child = command
        .spawn()
        .map_err(|source| start_error("portcullis", source))?;
    let go = child
        .stdin
        .take()
        .ok_or_else(|| LabError::Start(host.name.into()))?;
    Ok(HostProcess { child, go })
}

fn pid_of(hosts: &[(&Host, HostProcess)], name: &str) -> u32 {
    hosts
        .iter()
        .find(|(host, _)| host.name == name)
        .map_or(0, |(_, process)| process.child.id())
}

/// The first process of a process-id namespace inherits its orphans and must collect them.
fn reap_for_ever() -> Result<(), LabError> {
    loop {
        if isolation::collect_child().is_err() {
            return Ok(());
        }
    }
}

fn start_error(program: &str, source: io::Error) -> LabError {
    LabError::System {
        act: "start",
        source: SysError::Start {
            program: program.into(),
            source,
        },
    }
}
