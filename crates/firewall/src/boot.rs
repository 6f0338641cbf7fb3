//! What loads a confirmed change again when the host starts: a script for each change, and one unit of systemd for each
//! firewall system, which runs them after the host's own rules were loaded, restarted or reloaded.
//!
//! A trial leaves nothing here: what was not confirmed is gone with a restart. The scripts load what is not there and
//! leave alone what is.

use std::{fmt, time::Duration};

use portcullis_model::BackendName;
use portcullis_sys::Machine;

use crate::{
    FirewallError,
    act::{Act, Acts, unasked},
};

/// Where the scripts stand, in a folder for each firewall system.
const FOLDER: &str = "/etc/portcullis";
const UNITS: &str = "/etc/systemd/system";

/// Services that load, flush and load anew the rules of the host itself.
const RULES_OF_THE_HOST: &str =
    "nftables.service netfilter-persistent.service iptables.service ip6tables.service";

/// Puts a file in the place of another, whole or not at all.
const WRITE: &str = r#"umask 077; mkdir -p "${1%/*}" && cat >"$1.new" && { sync "$1.new" 2>/dev/null || sync; } && mv -f "$1.new" "$1""#;

/// Takes a script away, and with the last one its unit. The rules themselves are left as they are.
const REMOVE: &str = r#"
folder=$1 unit=$2 script=$3
rm -f "$script" "$script.new"
rmdir "$folder" 2>/dev/null || [ ! -d "$folder" ] || exit 0
systemctl disable --now "${unit##*/}" 2>/dev/null
rm -f "$unit" "$unit.new"
systemctl daemon-reload
rmdir "${folder%/*}" 2>/dev/null
[ ! -e "$unit" ]
"#;

/// Whether a change in this system can be made to outlast a restart, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// A unit of ours.
    Systemd,
    /// Nobody: systemd does not run there.
    Nobody,
}

impl Keeper {
    /// Who it is on a machine.
    ///
    /// # Errors
    /// When the machine does not tell.
    pub fn on(machine: &Machine) -> Result<Self, FirewallError> {
        let folder = ["-d", "/run/systemd/system"];
        let runs = machine.run("test", &folder, "", Duration::from_secs(30));
        let runs = runs.map_err(unasked)?.success && machine.has("systemctl").map_err(unasked)?;
        Ok(if runs { Self::Systemd } else { Self::Nobody })
    }
}

/// The unit that loads the changes of one firewall system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit(pub BackendName);

impl Unit {
    /// Its name, e.g. `portcullis-nftables.service`.
    pub fn name(self) -> String {
        format!("portcullis-{}.service", self.0)
    }

    fn path(self) -> String {
        format!("{UNITS}/{}", self.name())
    }

    fn folder(self) -> String {
        format!("{FOLDER}/{}", self.0)
    }

    fn script(self, tag: &str) -> String {
        format!("{}/{tag}.sh", self.folder())
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder();
        // A change that cannot be loaded must not keep the others from being loaded.
        let load = format!(
            "/bin/sh -c 'failed=0; for change in {folder}/*.sh; do /bin/sh \"$$change\" || failed=1; done; exit $$failed'"
        );
        // The older interface opens raw sockets, keeps its lock under /run, and does not load its own modules.
        let (modules, capabilities, writable) = match self.0 {
            BackendName::IptablesLegacy | BackendName::Iptables => (
                " modprobe@ip_tables.service modprobe@ip6_tables.service",
                "CAP_NET_ADMIN CAP_NET_RAW",
                "\nReadWritePaths=/run",
            ),
            _ => ("", "CAP_NET_ADMIN", ""),
        };
        write!(
            f,
            "# Written by portcullis confirm; the last portcullis rollback takes it away.\n\
             [Unit]\n\
             Description=Ports that Portcullis keeps closed ({backend})\n\
             DefaultDependencies=no\n\
             After=local-fs.target {RULES_OF_THE_HOST}{modules}\n\
             Wants=network-pre.target{modules}\n\
             Before=network-pre.target shutdown.target\n\
             Conflicts=shutdown.target\n\
             PartOf={RULES_OF_THE_HOST}\n\
             ReloadPropagatedFrom={RULES_OF_THE_HOST}\n\
             \n\
             [Service]\n\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             ExecStart={load}\n\
             ExecReload={load}\n\
             CapabilityBoundingSet={capabilities}\n\
             NoNewPrivileges=yes\n\
             ProtectSystem=strict{writable}\n\
             ProtectHome=yes\n\
             PrivateTmp=yes\n\
             PrivateDevices=yes\n\
             ProtectClock=yes\n\
             ProtectControlGroups=yes\n\
             ProtectHostname=yes\n\
             ProtectKernelLogs=yes\n\
             ProtectKernelModules=yes\n\
             ProtectKernelTunables=yes\n\
             ProtectProc=invisible\n\
             RestrictAddressFamilies=AF_NETLINK AF_INET AF_INET6 AF_UNIX\n\
             RestrictNamespaces=yes\n\
             RestrictRealtime=yes\n\
             RestrictSUIDSGID=yes\n\
             LockPersonality=yes\n\
             MemoryDenyWriteExecute=yes\n\
             SystemCallArchitectures=native\n\
             SystemCallFilter=@system-service\n\
             SystemCallFilter=~@privileged @resources\n\
             UMask=0077\n\
             \n\
             [Install]\n\
             WantedBy=sysinit.target {RULES_OF_THE_HOST}\n",
            backend = self.0,
        )
    }
}

/// Makes our unit load a confirmed change at every start.
pub fn install(backend: BackendName, tag: &str, script: String) -> Acts {
    let unit = Unit(backend);
    let write = |path: &str, text: String| Act::reading("sh", &["-c", WRITE, "sh", path], text);
    let acts = Acts(vec![
        write(&unit.script(tag), script),
        write(&unit.path(), unit.to_string()),
        Act::new("systemctl", &["daemon-reload"]),
        // The rules stand already: starting it makes it follow those services from now on.
        Act::new("systemctl", &["--quiet", "enable", "--now", &unit.name()]),
    ]);
    Act::together(&acts, &remove(backend, tag)).into()
}

/// Takes away what [`install`] has made.
pub fn remove(backend: BackendName, tag: &str) -> Acts {
    let unit = Unit(backend);
    let arguments = [
        "-c",
        REMOVE,
        "sh",
        &unit.folder(),
        &unit.path(),
        &unit.script(tag),
    ];
    Act::new("sh", &arguments).into()
}

/// Whether a change outlasts a restart.
///
/// # Errors
/// When the machine cannot be asked.
pub fn is_installed(backend: BackendName, tag: &str, machine: &Machine) -> Result<bool, FirewallError> {
    let script = Unit(backend).script(tag);
    let asked = machine.run("test", &["-e", &script], "", Duration::from_secs(30));
    asked
        .map(|finished| finished.success)
        .map_err(|source| FirewallError::Tool { act: "read", source })
}

#[cfg(test)]
mod tests {
    use portcullis_model::Port;

    use super::*;
    use crate::{
        backend::{self, Lasting},
        closing::Closing,
    };

    fn closing() -> Closing {
        let allow = ["10.7.20.0/24", "2001:db8:7:20::/64"].map(|network| network.parse().unwrap());
        Closing::new("3f2a91", Port::tcp(54321), allow.into_iter().collect())
    }

    fn script_of(name: BackendName) -> Option<String> {
        match backend::of(name).lasting(&closing()) {
            Lasting::Script(script) => Some(script),
            Lasting::OwnPlace { .. } => None,
        }
    }

    #[test]
    fn units() {
        let units: Vec<String> = BackendName::ALL
            .into_iter()
            .filter_map(|name| script_of(name).map(|_| name))
            .map(|name| format!("==> {}\n{}", Unit(name).path(), Unit(name)))
            .collect();
        insta::assert_snapshot!(units.join("\n"));
    }

    #[test]
    fn scripts() {
        let scripts: Vec<String> = BackendName::ALL
            .into_iter()
            .filter_map(|name| {
                let script = script_of(name)?;
                Some(format!("==> {}\n{script}", Unit(name).script("3f2a91")))
            })
            .collect();
        insta::assert_snapshot!(scripts.join("\n"));
    }

    /// `systemd-analyze` finds no fault in the units, and they may do little.
    #[test]
    fn systemd_understands_the_units_and_finds_them_safe() {
        for name in BackendName::ALL
            .into_iter()
            .filter(|name| script_of(*name).is_some())
        {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(Unit(name).name());
            std::fs::write(&path, Unit(name).to_string()).unwrap();
            let path = path.to_string_lossy();
            let ask = |arguments: &[&str]| {
                portcullis_sys::run("systemd-analyze", arguments, "", Duration::from_secs(60)).unwrap()
            };
            let verified = ask(&["verify", "--man=no", &path]);
            let ours: Vec<&str> = verified
                .stderr
                .lines()
                .filter(|line| line.contains("portcullis"))
                .collect();
            assert!(verified.success && ours.is_empty(), "{}", verified.stderr);
            // Exposure of at most 2.5 on its scale from 0 (safe) to 10.
            let judged = ask(&["security", "--offline=yes", "--threshold=25", "--no-pager", &path]);
            assert!(judged.success, "{}", judged.stdout);
        }
    }
}
