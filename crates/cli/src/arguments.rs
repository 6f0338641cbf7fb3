//! The command line as typed. What it means is decided in `cmds`.

mod sensor;
mod values;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, builder::styling::Styles};
use ipnet::IpNet;
use portcullis_firewall::{dialect::Dialect, reach::HostInterface};
use portcullis_model::{BackendName, LogFormat, Port, PortRange, ServiceName, Vantage};
use portcullis_ops::Target;
use portcullis_scan::import;

pub(crate) use sensor::{Nats, Sensor};
use values::{backend, community, id, network, patience, service, tcp_port, time_span};

use crate::{environment, hand_on::Form, output::Format};

/// Finds industrial remote-management services that can be reached from where they should not be, closes them with a
/// firewall change that cannot lock anybody out, proves it with packets, and puts everything back when asked.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    styles = Styles::plain(),
    disable_help_subcommand = true,
    max_term_width = 110,
    after_help = "Start with `portcullis lab run` (a plant in namespaces of this machine), then `portcullis doctor` and \
                  `portcullis check`.\n\nExit codes: 0 nothing wrong, 1 exposures found or not closed, 2 bad usage or \
                  configuration, 3 done in part (something was not tested), 4 refused, 5 failed."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// How to print what was found
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        help_heading = "Everywhere"
    )]
    pub(crate) format: Format,
    /// Where findings and changes are kept: a file or sqlite:FILE [default: portcullis.sqlite in the user's data folder]
    #[arg(long, global = true, value_name = "URL", env = environment::STORE, hide_env_values = true, help_heading = "Everywhere")]
    pub(crate) store: Option<String>,
    /// The site: zones, conduits, windows
    #[arg(long, global = true, value_name = "SITE.TOML", env = environment::CONFIG, hide_env_values = true, help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// A folder with services of your own, each a *.toml, known beside those built in
    #[arg(long, global = true, value_name = "DIR", env = environment::KNOWLEDGE, hide_env_values = true, help_heading = "Everywhere")]
    pub(crate) knowledge: Option<PathBuf>,
    /// Only data and errors, no progress and no remarks
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    /// More messages; twice for more still
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Everywhere")]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What listens on this host: process, package, addresses
    Check(Check),
    /// Find open ports and name the services behind them, gently
    Scan(Scan),
    /// Take over what nmap, masscan, Nessus, Zeek, neighbour and switch tables have found, and advisories in CSAF
    Import(Import),
    /// Find listeners and name services in captured packets, without sending one
    Capture(Capture),
    /// Learn how a gateway that you know behaves, to recognise its siblings on this site; nothing is sent to it
    Learn(Learn),
    /// What can be reached from a zone without a conduit, most urgent first
    Exposures,
    /// What is known of each host: services, model, firmware, programs, advisories that affect it
    Assets(Assets),
    /// Who can reach a port by the rules that are loaded: exactly which sources, and which rule decides; nothing is sent
    Reach(Reach),
    /// Think a closing through: who is cut, who still gets through, what is loaded and how it is taken back
    Plan(Plan),
    /// Have a plan approved by a second person, where the site asks for it
    Approve(Approve),
    /// Make a planned change on trial: the kernel itself lets go unless it is confirmed in time
    Apply(Apply),
    /// Keep a change that is on trial
    Confirm(OfChange),
    /// Take a change back
    Rollback(Rollback),
    /// All changes of a host, held against what its kernel holds now
    Changes(Changes),
    /// Tell within a second who altered or removed a change, and put it back if that is wanted
    Watch(Watch),
    /// Prove with packets, from every vantage and with a positive control, what is closed and what is not
    Verify(Verify),
    /// Look for a verify that runs elsewhere, as a host of another network; opens no port
    Sensor(Sensor),
    /// Read firewall logs: who tried, who got through, since when
    Logs(Logs),
    /// The record of what was done: chained, signed, verifiable
    #[command(subcommand)]
    Audit(Audit),
    /// What is known of services: list it, and check files of your own
    #[command(subcommand)]
    Knowledge(Knowledge),
    /// What this machine can and cannot do, and what to install
    Doctor,
    /// A miniature plant in network namespaces of this machine
    #[command(subcommand)]
    Lab(Lab),
    /// Be the copy in which a change is rehearsed
    #[command(hide = true)]
    Rehearsal {
        /// Be its first process
        #[arg(long)]
        inside: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Only this port number, TCP and UDP
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Read the texts of another host: `netstat -an`, `netstat -ano`, `ss -tlnp` or `Get-NetTCPConnection`; of Windows also
    /// `tasklist` and `reg export` or `reg query /s` of the uninstall keys; - reads standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) import: Vec<PathBuf>,
    /// Whose texts they are: keeps them, so that `assets` knows the host from within
    #[arg(long, value_name = "ADDRESS", requires = "import")]
    pub(crate) host: Option<std::net::IpAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// The port: 4840, tcp/4840, udp/161
    #[arg(long, value_name = "PORT", required_unless_present = "matrix")]
    pub(crate) port: Option<Port>,
    /// Only these sources: a network, an address, or the name of a zone
    #[arg(long, value_name = "CIDR|ZONE", conflicts_with = "matrix", value_parser = crate::cmds::reach::from)]
    pub(crate) from: Option<portcullis_ops::reach::From>,
    /// A table of the zones of site.toml and the ports: who reaches what
    #[arg(long, conflicts_with_all = ["port", "diff"])]
    pub(crate) matrix: bool,
    /// The ports of the table [default: those on which the host listens; with --ruleset those of the conduits' services]
    #[arg(
        long,
        value_name = "PORT,…",
        value_delimiter = ',',
        requires = "matrix",
        conflicts_with = "port"
    )]
    pub(crate) ports: Vec<Port>,
    /// What would change if the rules were those in these files
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) diff: Vec<PathBuf>,
    /// The rules of this host; this is so unless --ruleset is given
    #[arg(long, conflicts_with_all = ["ruleset", "interface"])]
    pub(crate) live: bool,
    /// The rules of a host that is reached over ssh, as ssh://user@host
    #[arg(long, value_name = "HOST", conflicts_with_all = ["live", "ruleset", "interface"])]
    pub(crate) host: Option<Target>,
    /// Rules of another host: what `nft -j list ruleset`, `iptables-save` and `ip6tables-save` print there, or of Windows
    /// the JSON that docs/reach.md tells how to write
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) ruleset: Vec<PathBuf>,
    /// An interface of that host, with its addresses where they matter: eth0, docker0=172.17.0.1/16
    #[arg(long, value_name = "NAME[=ADDRESS/LENGTH,…]", num_args = 1.., requires = "ruleset", value_parser = crate::cmds::reach::interface)]
    pub(crate) interface: Vec<HostInterface>,
    /// Only to these addresses of the host [default: all that are known]
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pub(crate) address: Vec<IpAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Assets {
    /// Who states what `csaf-vex` and `cyclonedx` say [default: the name of the site]
    #[arg(long, value_name = "NAME")]
    pub(crate) publisher: Option<String>,
    /// The publisher's own address, e.g. https://plant.example [default: urn:portcullis:site:NAME]
    #[arg(long, value_name = "URI")]
    pub(crate) namespace: Option<String>,
}

/// How a scan looks at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ScanMode {
    /// Full handshake, one harmless request, clean close
    Connect,
    /// Only the first packet of a handshake
    Syn,
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Addresses, networks (10.0.0.0/24), ranges (10.0.0.1-20), names, or @FILE with one or more on a line
    #[arg(required_unless_present_any = ["resume", "segment"], value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// How to look: by full connections, naming the services; or by half-open ones (needs CAP_NET_RAW), naming nothing
    #[arg(long, value_enum, default_value = "connect")]
    pub(crate) mode: ScanMode,
    /// Go on with a scan that was stopped or killed; every option is taken from its checkpoint
    #[arg(long, value_name = "FILE", conflicts_with_all = ["targets", "mode", "ports", "services", "second_look", "rate", "per_host", "per_subnet", "guards", "permission", "signers"])]
    pub(crate) resume: Option<PathBuf>,
    /// Ports such as 54321,udp/4800,7001-7005 [default: those of all known management and control services]
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub(crate) ports: Vec<PortRange>,
    /// Ask for this service, also when that costs the device something; its usual ports, unless --ports names others. May be
    /// given several times
    #[arg(long = "service", value_name = "NAME", value_parser = service)]
    pub(crate) services: Vec<ServiceName>,
    /// Ask all stations of the segment behind this interface who they are, below IP; with --service profinet-dcp (needs
    /// CAP_NET_RAW)
    #[arg(long, value_name = "INTERFACE", conflicts_with_all = ["targets", "ports", "mode", "resume", "guards", "second_look", "rate", "per_host", "per_subnet"])]
    pub(crate) segment: Option<String>,
    /// Ask a service that has answered once more where that tells more of it: at most two requests to a port
    #[arg(long)]
    pub(crate) second_look: bool,
    /// The community for --service snmp; in the environment others on this host cannot see it
    #[arg(long, value_name = "TEXT", env = environment::COMMUNITY, hide_env_values = true, value_parser = community)]
    pub(crate) community: Option<String>,
    /// Packets per second in all; 0 is as fast as it goes
    #[arg(long, value_name = "PPS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub(crate) rate: u32,
    /// Packets per second to one host
    #[arg(long, value_name = "PPS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) per_host: u32,
    /// Packets per second to one network, a /24 or a /64, for the firewalls and routers on the way; 0 is no limit of its own
    #[arg(long, value_name = "PPS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub(crate) per_subnet: u32,
    /// A neighbour to watch, as ADDRESS:PORT or icmp:ADDRESS: when its answers slow down or stop, the scan slows, pauses, and
    /// stops; may be given several times
    #[arg(long = "guard", value_name = "HOST:PORT")]
    pub(crate) guards: Vec<String>,
    /// The owner's permission for what lies outside the declared zones
    #[arg(long, value_name = "FILE")]
    pub(crate) permission: Option<PathBuf>,
    /// Keys that may sign a permission, in the format of ssh-keygen's ALLOWED SIGNERS; it must then be signed
    #[arg(long, value_name = "FILE", requires = "permission")]
    pub(crate) signers: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// nmap XML, masscan JSON or list, .nessus, Zeek conn.log, arp -a, ip neigh, show mac address-table; advisories in CSAF
    /// 2.0; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What they are written in, when it is not found out: nmap, masscan, nessus, zeek, neighbours, mac-table
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format_of: Option<import::Format>,
    /// Where the other program stood: a zone of the site, or an address; not needed for Zeek, which names both ends
    #[arg(long, value_name = "ZONE|ADDRESS")]
    pub(crate) seen_from: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("wire").required(true).args(["files", "interface"]))]
pub(crate) struct Capture {
    /// Captures of tcpdump, dumpcap or Wireshark, pcap or pcapng; - reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Listen to a running interface, such as one at the mirror port of a switch (needs CAP_NET_RAW)
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
    /// How long to listen, e.g. 10m [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = time_span, conflicts_with = "files")]
    pub(crate) patience: Option<Duration>,
    /// How many packets to hear
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "files")]
    pub(crate) packets: Option<u64>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what_to_learn").required(true).args(["place", "list", "forget"]))]
pub(crate) struct Learn {
    /// The port that you know, such as 10.7.10.10:54321
    #[arg(value_name = "HOST:PORT", value_parser = tcp_port, requires = "service")]
    pub(crate) place: Option<SocketAddr>,
    /// What it is: a name from `portcullis knowledge list`
    #[arg(long = "as", value_name = "SERVICE", value_parser = service, requires = "place")]
    pub(crate) service: Option<ServiceName>,
    /// Another service of this site, which must not be taken for it; may be repeated. Without one a likeness counts nothing
    #[arg(long = "not", value_name = "HOST:PORT", value_parser = tcp_port, requires = "place")]
    pub(crate) counter_examples: Vec<SocketAddr>,
    /// How many looks at each port
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=20), requires = "place")]
    pub(crate) looks: u32,
    /// How long every second look waits for the server to end the connection by itself
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience, requires = "place")]
    pub(crate) patience: Duration,
    /// A capture with the beginning of a session to it: the first bytes of the server are learned, too
    #[arg(long, value_name = "FILE", requires = "place")]
    pub(crate) from_capture: Option<PathBuf>,
    /// The owner's permission for what lies outside the declared zones
    #[arg(long, value_name = "FILE", requires = "place")]
    pub(crate) permission: Option<PathBuf>,
    /// Keys that may sign a permission, as of `portcullis scan`
    #[arg(long, value_name = "FILE", requires = "permission")]
    pub(crate) signers: Option<PathBuf>,
    /// What was learned on this site; with --format json, all of it
    #[arg(long)]
    pub(crate) list: bool,
    /// Forget what was learned of a port
    #[arg(long, value_name = "HOST:PORT", value_parser = tcp_port)]
    pub(crate) forget: Option<SocketAddr>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).multiple(true).args(["exposure", "port"]))]
pub(crate) struct Plan {
    /// An exposure of this host, by the beginning of its id
    #[arg(value_name = "EXPOSURE", value_parser = id)]
    pub(crate) exposure: Option<String>,
    /// The port to close, such as 54321 or udp/4800
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<Port>,
    /// Close the port of hosts behind this one, which is their router, by their addresses; may be repeated [default: the port
    /// of this host itself]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "dialect")]
    pub(crate) behind: Vec<IpAddr>,
    /// Who gets through beside those who have a conduit; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub(crate) allow: Vec<IpNet>,
    /// Who does not get through, though a conduit or --allow lets him; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub(crate) except: Vec<IpNet>,
    /// Close the port although nothing listens on it
    #[arg(long)]
    pub(crate) preventive: bool,
    /// The firewall system to make the change in: nftables, iptables-nft, iptables-legacy, iptables (on hosts that
    /// have only that), firewalld, ufw [default: what governs this host and is effective there; the plan says which and why]
    #[arg(long, value_name = "SYSTEM", value_parser = backend)]
    pub(crate) backend: Option<BackendName>,
    /// Make the change in a throw-away copy of this host's rules, addresses and listeners first, probe it there, and take
    /// it back; the host itself is only read
    #[arg(long, conflicts_with = "dialect")]
    pub(crate) rehearse: bool,
    /// Write the text for a device that Portcullis does not drive, and change nothing: windows, cisco-ios, cisco-asa,
    /// juniper-srx, palo-alto, fortigate, pf, mikrotik, moxa-edr, aws-sg, azure-nsg, ansible, nftables, iptables, ufw,
    /// firewalld
    #[arg(long = "for", value_name = "DIALECT", conflicts_with_all = ["backend", "preventive"])]
    pub(crate) dialect: Option<Dialect>,
    /// The host to change, over ssh: ssh://user@host; it needs nothing but a shell and its own firewall tools [default: this
    /// host]. With --for: a host whose port is closed, by its address; may be repeated
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<PlanHost>,
    /// With --for: how long the trial lasts, where the device has one
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time_span, requires = "dialect")]
    pub(crate) trial: Duration,
}

/// What `plan --host` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlanHost {
    /// The host to change.
    Ssh(Target),
    /// A host behind the device that a text is for.
    Address(IpAddr),
}

impl FromStr for PlanHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let target = text.parse::<Target>().map(Self::Ssh);
        target.map_err(|error| format!("it is no address, and {error}"))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The plan, by the beginning of its id
    #[arg(value_name = "PLAN", value_parser = id)]
    pub(crate) plan: String,
    /// How long the kernel holds the change without a confirmation, e.g. 90s, 2m, 1h
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = time_span)]
    pub(crate) trial: Duration,
    /// Why it cannot wait for a maintenance window; goes into the audit record
    #[arg(long, value_name = "REASON")]
    pub(crate) emergency: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without --signature it prints what is to be signed. The approver reads it and signs it, on any machine:\n  \
                  portcullis approve PLAN > plan.txt\n  ssh-keygen -Y sign -n portcullis-plan -f KEY plan.txt\n  portcullis \
                  approve PLAN --signature plan.txt.sig\nWhose signature counts: [approval] in site.toml."
)]
pub(crate) struct Approve {
    /// The plan, by the beginning of its id
    #[arg(value_name = "PLAN", value_parser = id)]
    pub(crate) plan: String,
    /// The approver's signature of the plan
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct OfChange {
    /// The change, by the beginning of its id
    #[arg(value_name = "CHANGE", value_parser = id)]
    pub(crate) change: String,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    pub(crate) of: OfChange,
    /// Where it stands, as ssh://user@host, when the store does not know the change
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<Target>,
}

#[derive(Debug, Args)]
pub(crate) struct Changes {
    /// The host, as ssh://user@host [default: this host]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<Target>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "One line for each change that is watched, then one whenever a change stands otherwise than before; nothing \
                  while nothing happens.\n\nExit codes: 0 every change was in force all the time, 1 a change was not in \
                  force, 3 for some time nobody could tell, 5 without CAP_NET_ADMIN."
)]
pub(crate) struct Watch {
    /// How long to watch, e.g. 8h [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = time_span)]
    pub(crate) patience: Option<Duration>,
    /// Look once and end, for a timer
    #[arg(long, conflicts_with_all = ["patience", "reapply"])]
    pub(crate) once: bool,
    /// Put confirmed changes back that somebody else altered or removed, at most three times in ten minutes each; the same
    /// as `reapply` under [watch] of site.toml
    #[arg(long)]
    pub(crate) reapply: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["subject", "port"]))]
pub(crate) struct Verify {
    /// A plan or a change, by the beginning of its id: its prediction is held against the packets
    #[arg(value_name = "PLAN", value_parser = id)]
    pub(crate) subject: Option<String>,
    /// A port of the host: the conduits of the site say what is expected
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<Port>,
    /// The host that has the port, as ssh://user@host [default: this host, or that of the plan]
    #[arg(long, value_name = "HOST", conflicts_with = "subject")]
    pub(crate) host: Option<Target>,
    /// Where to look from: this-host, lab:HOST, ssh://user@host, sensor:NAME; may be repeated [default: all there are, but ssh]
    #[arg(long, value_name = "VANTAGE")]
    pub(crate) from: Vec<Vantage>,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// A command that must succeed afterwards, run by the shell
    #[arg(long, value_name = "CMD")]
    pub(crate) smoke: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["files", "nflog", "journal", "syslog"]))]
#[command(group = clap::ArgGroup::new("live").multiple(true).args(["nflog", "follow"]))]
pub(crate) struct Logs {
    /// Firewall logs, perhaps compressed with gzip or zstd; - reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The format of the files, such as kernel, windows or asa [default: found out line by line]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) input_format: Option<LogFormat>,
    /// Listen to a netfilter log group; 54 is the one that Portcullis' own rules write to
    #[arg(long, value_name = "GROUP")]
    pub(crate) nflog: Option<u16>,
    /// Read what the kernel wrote to systemd's journal, by journalctl: that of this system, or one in a folder or file
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub(crate) journal: Option<Option<PathBuf>>,
    /// Listen for syslog at udp://ADDRESS:PORT, tcp://… or tls://…; may be repeated
    #[arg(long, value_name = "URL", requires = "follow")]
    pub(crate) syslog: Vec<String>,
    /// The certificate for tls://, with those that lead to its authority (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key", requires = "syslog")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Let in only senders with a certificate of one of these authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// How long to listen, e.g. 30s [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = time_span, requires = "live")]
    pub(crate) patience: Option<Duration>,
    /// Print each event as it is read, go on with what comes from now on, and keep counts and place in the store
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Follow without printing events
    #[arg(long, requires = "follow")]
    pub(crate) no_events: bool,
    /// Print, in the place of the summary, those who show signs (list, crowdsec, stix) or each event (ocsf, cef)
    #[arg(long, value_name = "FORM", conflicts_with_all = ["live", "journal"])]
    pub(crate) export: Option<Form>,
    /// Tell of signs such as guessed passwords, sweeps, and traffic to a port that should be closed
    #[arg(long)]
    pub(crate) signs: bool,
    /// Make a plan for each port of this host at which somebody shows a sign, that keeps him out; nothing is changed by it
    #[arg(long, conflicts_with = "export")]
    pub(crate) block: bool,
    /// Only events to these ports, such as 54321,udp/4800,7001-7005
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub(crate) port: Vec<PortRange>,
    /// Tell the countries of sources by this database (.mmdb); none is shipped, and nobody is asked
    #[arg(long, value_name = "FILE")]
    pub(crate) country_db: Option<PathBuf>,
    /// Infer sessions from lines that come close together; one processor reads then
    #[arg(long, conflicts_with_all = ["follow", "export"])]
    pub(crate) sessions: bool,
    /// Count around this change [default: around those of the store that close the ports]
    #[arg(long, value_name = "ID")]
    pub(crate) change: Option<String>,
    /// How many to name of each: sources, networks, services
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Show the record
    List,
    /// Find any record that was changed, removed or moved
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Knowledge {
    /// Hold service files against their rules; all mistakes are told at once, and nothing is sent
    Check {
        /// The folder with the files [default: that of --knowledge, or only those built in]
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Every service with its ports, its hazard, and what is sent to recognise it
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lab {
    /// Build the plant and run the whole loop in it: find, close, prove, log, put back
    Run,
    /// Build the plant and leave it running
    Up,
    /// Take the plant away
    Down,
    /// Open a shell on a host of the plant
    Shell {
        /// The host, e.g. engineering
        host: String,
    },
    /// Run a command on a host of the plant
    Exec {
        /// The host
        host: String,
        /// The command with its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Hold a connection from a host of the plant and tell when it is cut
    Hold {
        /// The peer, e.g. 10.7.10.10:54321
        peer: std::net::SocketAddr,
        /// Our own port
        #[arg(long)]
        source_port: Option<u16>,
        /// How long to hold it
        #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = time_span)]
        patience: Duration,
    },
    /// Keep the plant's first process
    #[command(hide = true)]
    Keep {
        /// Go on when the starting process ends
        #[arg(long)]
        detached: bool,
    },
    /// Be the plant's first process
    #[command(hide = true)]
    Plant,
    /// Play a device
    #[command(hide = true)]
    Device {
        /// The host
        host: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
