//! `ssh://user@host:port`.

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// A host that is reached through the system's OpenSSH. What its configuration says of the host (other names, keys, jump
/// hosts) holds for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Who signs in; ssh decides when not given.
    pub user: Option<String>,
    /// A name, a name of ssh's configuration, or an address.
    pub host: String,
    /// The port of its ssh server; ssh decides when not given.
    pub port: Option<u16>,
}

impl Target {
    /// What the host is called in plans and changes: all that tells it from another host.
    pub fn name(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// The words that name it to `ssh`.
    pub(super) fn words(&self) -> Vec<String> {
        let user = self.user.iter().flat_map(|user| ["-l".to_owned(), user.clone()]);
        let port = self
            .port
            .iter()
            .flat_map(|port| ["-p".to_owned(), port.to_string()]);
        user.chain(port)
            .chain(["--".to_owned(), self.host.clone()])
            .collect()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.name())
    }
}

/// Why a text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; the form is ssh://user@host or ssh://user@host:port")]
pub struct TargetError(&'static str);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let rest = text
            .strip_prefix("ssh://")
            .ok_or(TargetError("it does not begin with ssh://"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err(TargetError("a password has no place in it"));
            }
            Some((user, place)) => (Some(word(user, "the user")?), place),
            None => (None, rest),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (address, after) = bracketed.split_once(']').ok_or(TargetError("a [ has no ]"))?;
                let whole = address.split('%').next().unwrap_or_default();
                whole
                    .parse::<Ipv6Addr>()
                    .map_err(|_| TargetError("between [ and ] stands no IPv6 address"))?;
                let port = match after {
                    "" => None,
                    after => Some(
                        after
                            .strip_prefix(':')
                            .ok_or(TargetError("after ] stands no port"))?,
                    ),
                };
                (address, port)
            }
            None if place.matches(':').count() > 1 => {
                return Err(TargetError("an IPv6 address stands between [ and ]"));
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = port
            .map(|port| port.parse().ok().filter(|port| *port > 0))
            .map(|port: Option<u16>| port.ok_or(TargetError("its port is no number from 1 to 65535")))
            .transpose()?;
        Ok(Self {
            user,
            host: word(host, "the host")?.to_lowercase(),
            port,
        })
    }
}

/// A word that means nothing else to ssh or a shell.
fn word(text: &str, what: &'static str) -> Result<String, TargetError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(TargetError(match what {
        "the user" => "it names no user",
        _ => "it names no host",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_host_and_what_does_not() {
        for (text, name, words) in [
            ("ssh://root@gw-paris", "gw-paris", "-l root -- gw-paris"),
            ("ssh://GW", "gw", "-- gw"),
            (
                "ssh://a.b@10.7.10.10:2222/",
                "10.7.10.10:2222",
                "-l a.b -p 2222 -- 10.7.10.10",
            ),
            (
                "ssh://[fe80::1%eth0]:22",
                "[fe80::1%eth0]:22",
                "-p 22 -- fe80::1%eth0",
            ),
            ("ssh://[fd77::2]", "[fd77::2]", "-- fd77::2"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(
                (target.name().as_str(), target.words().join(" ").as_str()),
                (name, words)
            );
            assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
        for text in [
            "root@gw",
            "gw",
            "ssh://",
            "ssh://@gw",
            "ssh://-oProxyCommand=x",
            "ssh://a@-x",
            "ssh://a b@gw",
            "ssh://gw:0",
            "ssh://gw:99999",
            "ssh://gw:22:22",
            "ssh://fd77::2",
            "ssh://root:secret@gw",
            "ssh://[gw]",
            "ssh://[::1",
            "ssh://[::1]22",
            "ssh://gw/path",
            "ssh://$(x)@gw",
            "ssh://gw\n",
            "http://gw",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
