//! firewalld, through its own interface: rich rules in the zones while on trial, and once confirmed a policy of the
//! permanent configuration beside them, which covers every zone after the next reload or restart.
//!
//! What is blocked are those who are not allowed: an `accept` of firewalld would open the port to those whom a zone keeps
//! out. firewalld lets established connections through before anything else, so those that are to be cut are forgotten
//! by the connection tracker. A trial is never written to the disk; its guard takes it back, and so does a restart.
//!
//! Source: firewalld.richlanguage(5), firewalld.policies(5), firewall-cmd(1).

mod read;
mod rules;
#[cfg(test)]
mod tests;

use std::time::Duration;

use portcullis_model::BackendName;
use portcullis_sys::{Machine, shell::quoted};

use crate::{
    FirewallError,
    act::{Act, Acts, unasked},
    backend::{Backend, DeadMan, Lasting},
    closing::Closing,
    guard,
    own::Own,
};
use rules::Mark;

/// firewalld.
#[derive(Debug)]
pub struct Firewalld;

/// Adds rules to each zone that has an interface or a source now, and to the one that a new interface comes into.
const ADD: &str = r#"
zones=$({ firewall-cmd --get-active-zones | sed -n 's/^\([^[:space:]]\{1,\}\).*/\1/p'; firewall-cmd --get-default-zone; } | sort -u)
[ -n "$zones" ] || exit 1
for zone in $zones; do firewall-cmd --quiet --zone="$zone" "$@" || exit 1; done
"#;

/// Takes the rules of a change out of whatever holds them: all, or those of one priority only.
const TAKE: &str = r#"
mark="portcullis-drop $1 "
only=${2:-$mark} failed=0
firewall-cmd --state >/dev/null 2>&1 || exit 0
for kind in zone policy; do
    case $kind in zone) all=--list-all-zones ;; policy) all=--list-all-policies ;; esac
    found=$(firewall-cmd $all | awk -v mark="$mark" -v only="$only" '
        /^[^ \t]/ { at = $1 }
        index($0, mark) && index($0, only) { sub(/^[ \t]+/, ""); print at, $0 }')
    for at in $(printf '%s\n' "$found" | cut -d' ' -f1 | sort -u); do
        set --
        while read -r where rule; do
            [ "$where" = "$at" ] && set -- "$@" "--remove-rich-rule=$rule"
        done <<RULES
$found
RULES
        firewall-cmd --quiet "--$kind=$at" "$@" || failed=1
        if [ $kind = policy ]; then
            firewall-cmd --quiet "--policy=$at" --remove-ingress-zone=ANY &&
                firewall-cmd --quiet "--policy=$at" --remove-egress-zone=HOST || failed=1
        fi
    done
done
exit $failed
"#;

/// Has the connection tracker forget the connections to a port from some networks, so that their next packet counts as
/// the first of a new one; where its tool is missing, such TCP connections are ended by the kernel.
const CUT: &str = r#"
transport=$1 port=$2; shift 2
if command -v conntrack >/dev/null; then
    for from; do
        case $from in *:*) family=ipv6 ;; *) family=ipv4 ;; esac
        conntrack -D -f $family -p "$transport" --orig-port-dst "$port" -s "$from" >/dev/null 2>&1
    done
elif [ "$transport" = tcp ] && command -v ss >/dev/null; then
    for from; do ss -H -K -t state established "( sport = :$port )" dst "$from" >/dev/null; done
fi
exit 0
"#;

/// Makes the policy anew.
const PUT: &str = r#"
policy=$1; shift
firewall-cmd --permanent --get-policies | tr ' ' '\n' | grep -qx "$policy" &&
    firewall-cmd --quiet --permanent "--delete-policy=$policy"
firewall-cmd --quiet --permanent "--new-policy=$policy" &&
    firewall-cmd --quiet --permanent "--policy=$policy" --set-priority=-32768 &&
    firewall-cmd --quiet --permanent "--policy=$policy" --set-target=CONTINUE &&
    firewall-cmd --quiet --permanent "--policy=$policy" "$@" &&
    firewall-cmd --quiet --permanent "--policy=$policy" --add-egress-zone=HOST &&
    firewall-cmd --quiet --permanent "--policy=$policy" --add-ingress-zone=ANY
"#;

/// Takes the policy away, and the copy that firewalld keeps of what it deletes.
const FORGET: &str = r#"
policy=$1 file=/etc/firewalld/policies/$1.xml
if firewall-cmd --state >/dev/null 2>&1; then
    firewall-cmd --permanent --get-policies | tr ' ' '\n' | grep -qx "$policy" &&
        { firewall-cmd --quiet --permanent "--delete-policy=$policy" || exit 1; }
else
    rm -f "$file"
fi
rm -f "$file.old"
[ ! -e "$file" ]
"#;

fn policy(tag: &str) -> String {
    format!("portcullis-{tag}")
}

/// One line for each rule, as it would be typed.
fn shown(intro: &str, call: &str, rules: &[String]) -> Option<String> {
    let lines = rules.iter().map(|rule| format!("\n{call}{}", quoted(rule)));
    Some(format!("# {intro}:{}", lines.collect::<String>()))
}

fn add(closing: &Closing, mark: Mark) -> Act {
    let rules = rules::rules(closing, mark);
    let options: Vec<String> = rules
        .iter()
        .map(|rule| format!("--add-rich-rule={rule}"))
        .collect();
    let options = options.iter().map(String::as_str);
    Act {
        shown: shown(
            "in each active ZONE and in the default zone",
            "firewall-cmd --zone=ZONE --add-rich-rule=",
            &rules,
        ),
        ..Act::new(
            "sh",
            &["-c", ADD, "sh"].into_iter().chain(options).collect::<Vec<_>>(),
        )
    }
}

fn take(tag: &str, only: Option<Mark>) -> Act {
    let priority = only.map(|mark| format!("priority=\"{}\"", mark.priority()));
    Act {
        shown: Some(format!(
            "# the rich rules with the log prefix `portcullis-drop {tag} `{} are removed from every zone and policy",
            priority
                .as_deref()
                .map(|p| format!(" and {p}"))
                .unwrap_or_default(),
        )),
        ..Act::new(
            "sh",
            &["-c", TAKE, "sh", tag, priority.as_deref().unwrap_or_default()],
        )
    }
}

fn cut(closing: &Closing) -> Act {
    let (transport, port) = (
        closing.port.transport.to_string(),
        closing.port.number.to_string(),
    );
    let blocked: Vec<String> = rules::blocked(closing).iter().map(ToString::to_string).collect();
    let blocked = blocked.iter().map(String::as_str);
    Act {
        shown: Some(format!(
            "# then the connection tracker forgets the connections to {} from who is not allowed",
            closing.port
        )),
        ..Act::new(
            "sh",
            &["-c", CUT, "sh", &transport, &port]
                .into_iter()
                .chain(blocked)
                .collect::<Vec<_>>(),
        )
    }
}

impl Backend for Firewalld {
    fn name(&self) -> BackendName {
        BackendName::Firewalld
    }

    fn read(&self, machine: &Machine) -> Result<Own, FirewallError> {
        if !machine.has("firewall-cmd").map_err(unasked)? {
            return Ok(Own::default());
        }
        let listed = Act::new("sh", &["-c", read::LIST]).run("read", machine)?.stdout;
        if !listed.contains(crate::nftables::LOG_PREFIX) {
            return Ok(Own::default());
        }
        Ok(read::own(&listed, &guard::running(machine)?))
    }

    fn load(&self, closing: &Closing, trial: Option<Duration>, _beside: &Own) -> Acts {
        let mut acts = Vec::new();
        if let Some(trial) = trial {
            let on_trial = format!(
                "{{ firewall-cmd --list-all-zones || echo '{mark}'; }} 2>/dev/null | grep -q '{mark}'",
                mark = Mark::Trial.pattern(&closing.tag),
            );
            let undo = take(&closing.tag, Some(Mark::Trial)).into();
            acts.push(guard::start(&closing.tag, trial, &on_trial, &undo));
        }
        let mark = if trial.is_some() { Mark::Trial } else { Mark::Kept };
        let undo = take(&closing.tag, None).into();
        acts.push(Act::together(&add(closing, mark).into(), &undo));
        acts.push(cut(closing));
        Acts(acts)
    }

    fn keep(&self, closing: &Closing) -> Acts {
        // The trial's rules go when those that stay are there; the guard, which only looks for the former, goes last.
        let swap = Acts(vec![
            add(closing, Mark::Kept),
            take(&closing.tag, Some(Mark::Trial)),
        ]);
        Acts(vec![
            Act::together(&swap, &Acts::default()),
            guard::end(&closing.tag),
        ])
    }

    fn inverse(&self, closing: &Closing, _beside: &Own) -> Acts {
        take(&closing.tag, None).into()
    }

    fn dead_man(&self) -> DeadMan {
        DeadMan::Guard
    }

    fn lasting(&self, closing: &Closing) -> Lasting {
        let rules = rules::rules(closing, Mark::Kept);
        let name = policy(&closing.tag);
        let options: Vec<String> = rules
            .iter()
            .map(|rule| format!("--add-rich-rule={rule}"))
            .collect();
        let mut arguments = vec!["-c", PUT, "sh", &name];
        arguments.extend(options.iter().map(String::as_str));
        let put = Act {
            shown: shown(
                "a policy from ANY to HOST, of the first priority",
                &format!("firewall-cmd --permanent --policy={name} --add-rich-rule="),
                &rules,
            ),
            ..Act::new("sh", &arguments)
        };
        let undo = self.forget(&closing.tag).map(Acts::from).unwrap_or_default();
        Lasting::OwnPlace {
            place: format!("the permanent policy {name}"),
            put: Act::together(&put.into(), &undo).into(),
        }
    }

    fn forget(&self, tag: &str) -> Option<Act> {
        Some(Act::new("sh", &["-c", FORGET, "sh", &policy(tag)]))
    }
}
