//! What this machine can and cannot do, and what to install.

use portcullis_firewall::{FirewallError, nftables};
use portcullis_lab::Lab;
use portcullis_model::Fault;
use portcullis_sys::{Machine, SysError, conntrack, find_program, host, nflog};
use serde::Serialize;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is needed for, e.g. `firewall changes`.
    pub what: String,
    /// Whether it works here.
    pub works: bool,
    /// What was seen.
    pub seen: String,
    /// What to do, when it does not work.
    pub advice: Option<String>,
}

/// Looks at everything. It changes nothing.
pub fn doctor() -> Vec<Finding> {
    vec![
        socket_table(),
        processes(),
        program("nft", "firewall changes (nftables)"),
        ruleset(),
        program("ip", "building the lab's network"),
        program("iptables-save", "reading iptables rules"),
        program("iptables-legacy-save", "reading legacy iptables rules"),
        tracker(),
        log_group(),
        rights(),
        lab(),
    ]
}

fn finding(what: &str, result: Result<String, &dyn Fault>) -> Finding {
    match result {
        Ok(seen) => Finding {
            what: what.into(),
            works: true,
            seen,
            advice: None,
        },
        Err(error) => {
            let cause = std::error::Error::source(error)
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            Finding {
                what: what.into(),
                works: false,
                seen: format!("{error}{cause}"),
                advice: error.hint(),
            }
        }
    }
}

fn socket_table() -> Finding {
    match portcullis_sys::sockets() {
        Ok(sockets) => finding(
            "listing sockets",
            Ok(format!("{} sockets by netlink", sockets.len())),
        ),
        Err(error) => finding("listing sockets", Err(&error)),
    }
}

fn processes() -> Finding {
    let hidden = portcullis_sys::owners().unreadable;
    let what = "naming the process of a socket".to_owned();
    if hidden == 0 {
        return Finding {
            what,
            works: true,
            seen: "all processes can be looked into".into(),
            advice: None,
        };
    }
    let seen = format!("{hidden} processes of other users cannot be looked into");
    Finding {
        what,
        works: false,
        seen,
        advice: Some("run it as root (sudo) to see them".into()),
    }
}

fn program(name: &str, what: &str) -> Finding {
    match find_program(name) {
        Some(path) => {
            let version = if name == "nft" {
                nftables::version().unwrap_or_default()
            } else {
                String::new()
            };
            finding(
                what,
                Ok(format!("{} {version}", path.display()).trim_end().to_owned()),
            )
        }
        None => finding(what, Err(&SysError::MissingProgram { program: name.into() })),
    }
}

fn ruleset() -> Finding {
    let what = "reading the ruleset";
    match nftables::read(&Machine::Here) {
        Ok(ruleset) if ruleset.foreign_tables.is_empty() => {
            finding(what, Ok("no other table is loaded".into()))
        }
        Ok(ruleset) => finding(what, Ok(format!("tables: {}", ruleset.foreign_tables.join(", ")))),
        Err(error @ FirewallError::Tool { .. }) => finding(what, Err(&error)),
        Err(error) => finding(what, Err(&error)),
    }
}

fn tracker() -> Finding {
    match conntrack::flows() {
        Ok(flows) => finding(
            "connection tracker",
            Ok(format!("{} tracked connections", flows.len())),
        ),
        Err(error) => finding("connection tracker", Err(&error)),
    }
}

fn log_group() -> Finding {
    let what = "live firewall log (NFLOG)";
    match nflog::Group::open(nftables::LOG_GROUP) {
        Ok(_) => finding(what, Ok(format!("group {} can be read", nftables::LOG_GROUP))),
        Err(error) => finding(what, Err(&error)),
    }
}

fn rights() -> Finding {
    let what = "rights to change the firewall".to_owned();
    if host::has_capability(host::CAP_NET_ADMIN) {
        return Finding {
            what,
            works: true,
            seen: "CAP_NET_ADMIN is in force".into(),
            advice: None,
        };
    }
    let advice = "run it as root (sudo); check, scan and the lab work without".to_owned();
    Finding {
        what,
        works: false,
        seen: "CAP_NET_ADMIN is missing".into(),
        advice: Some(advice),
    }
}

fn lab() -> Finding {
    let what = "namespaces for the lab".to_owned();
    if Lab::around_us().is_some() {
        return Finding {
            what,
            works: true,
            seen: "this command runs inside it".into(),
            advice: None,
        };
    }
    match portcullis_sys::isolation::can_isolate() {
        Ok(how) => Finding {
            what,
            works: true,
            seen: how,
            advice: None,
        },
        Err(error) => finding(&what, Err(&error)),
    }
}
