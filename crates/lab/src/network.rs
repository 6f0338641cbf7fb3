//! The plant's network: one bridge per zone in the router's namespace, one virtual cable per host.

use std::{fmt::Write as _, fs, process::Command, process::Stdio};

use portcullis_sys::{SysError, namespace::Network};

use crate::{
    LabError,
    plant::{HOSTS, Host, ZONES, Zone},
};

/// Makes the bridges, the addresses of the router, and its forwarding, in the namespace of the calling process.
pub(crate) fn build_router() -> Result<(), LabError> {
    let mut script = String::from("link set lo up\n");
    for Zone { name, v4, v6 } in &ZONES {
        // Ports of a bridge without spanning tree forward at once.
        let bridge = bridge_of(name);
        let _ = writeln!(
            script,
            "link add {bridge} type bridge stp_state 0 forward_delay 0"
        );
        let _ = writeln!(script, "addr add {v4}.1/24 dev {bridge}");
        let _ = writeln!(script, "addr add {v6}::1/64 dev {bridge} nodad");
        let _ = writeln!(script, "link set {bridge} up");
    }
    batch("router", &script, None)?;
    for setting in [
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/net/ipv6/conf/all/forwarding",
    ] {
        fs::write(setting, "1").map_err(|source| LabError::Folder {
            act: "switch on forwarding in",
            path: setting.into(),
            source,
        })?;
    }
    Ok(())
}

/// Plugs a host into its zone: a cable from the zone's bridge into the namespace of the host's process.
pub(crate) fn plug_in(position: usize, host: &Host, pid: u32) -> Result<(), LabError> {
    let cable = format!("cable{position}");
    let bridge = bridge_of(host.zone);
    let script = format!(
        "link add {cable} type veth peer name eth0 netns {pid}\nlink set {cable} master {bridge}\nlink set {cable} up\n"
    );
    batch("router", &script, None)?;
    let Some(zone) = ZONES.iter().find(|zone| zone.name == host.zone) else {
        return Ok(());
    };
    // The addresses are known to be free: without `nodad` IPv6 would wait a second before using them.
    let script = format!(
        "link set lo up\naddr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\nlink set eth0 up\n\
         route add default via {router4}.1\n-6 route add default via {router6}::1\n",
        v4 = host.v4(),
        v6 = host.v6(),
        router4 = zone.v4,
        router6 = zone.v6,
    );
    let network = Network::of_process(pid).map_err(|source| LabError::System {
        act: "build the network of",
        source,
    })?;
    batch(host.name, &script, Some(&network))
}

/// Position of a host in the plant, for the name of its cable.
pub(crate) fn position(host: &Host) -> usize {
    HOSTS
        .iter()
        .position(|other| other.name == host.name)
        .unwrap_or(HOSTS.len())
}

fn bridge_of(zone: &str) -> String {
    format!("br-{zone}")
}

/// Runs `ip -batch`, each line of which is one `ip` command. Lines that begin with `-6` are given to a second run,
/// since the family is an option of the whole batch.
fn batch(host: &str, script: &str, network: Option<&Network>) -> Result<(), LabError> {
    let (v6, rest): (Vec<&str>, Vec<&str>) = script.lines().partition(|line| line.starts_with("-6 "));
    run_batch(host, &[], &rest.join("\n"), network)?;
    let v6: Vec<&str> = v6.iter().filter_map(|line| line.strip_prefix("-6 ")).collect();
    if v6.is_empty() {
        Ok(())
    } else {
        run_batch(host, &["-6"], &v6.join("\n"), network)
    }
}

fn run_batch(host: &str, options: &[&str], script: &str, network: Option<&Network>) -> Result<(), LabError> {
    run_inside(host, "ip", &[options, &["-batch", "-"]].concat(), script, network)
}

/// Runs a tool with a script on its standard input, on the router or inside a host's network.
pub(crate) fn run_inside(
    host: &str,
    program: &str,
    arguments: &[&str],
    script: &str,
    network: Option<&Network>,
) -> Result<(), LabError> {
    let system = |source| LabError::System {
        act: "build the network of",
        source,
    };
    let path = portcullis_sys::find_program(program).ok_or_else(|| {
        system(SysError::MissingProgram {
            program: program.into(),
        })
    })?;
    let mut command = Command::new(path);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(network) = network {
        network.enter(&mut command).map_err(system)?;
    }
    let start = |source| {
        system(SysError::Start {
            program: program.into(),
            source,
        })
    };
    let mut child = command.spawn().map_err(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that stops reading has a complaint, which is read below.
        let _ = std::io::Write::write_all(&mut stdin, script.as_bytes());
    }
    let output = child.wait_with_output().map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr)
        .lines()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ");
    Err(LabError::Network {
        host: host.into(),
        said: portcullis_model::sanitize(&said),
    })
}
