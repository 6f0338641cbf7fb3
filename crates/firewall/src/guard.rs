//! The dead man's switch where the kernel has none: a process that takes a trial back when its time is over.
//!
//! It is a few lines of POSIX shell that need nothing but the firewall's own tools, so that it does not depend on
//! Portcullis being there, and it is started and seen to run before the change is made. Its last three arguments say
//! what it is, for which change, and until when, in seconds since the start of the machine: no file is needed to find
//! it, and a step of the clock does not move it. It holds no lock and leaves nothing behind.

use std::time::Duration;

use portcullis_sys::Machine;

use crate::{
    FirewallError,
    act::{Act, Acts},
};

/// Starts what is given as its first argument, detached, and ends well only when that runs.
const START: &str = r#"
read -r up rest </proc/uptime
until=$((${up%%.*} + $3 + 1))
detached=; command -v setsid >/dev/null && detached=setsid
$detached sh -c "$1" portcullis-guard "$2" "$until" </dev/null >/dev/null 2>&1 &
guard=$!
for try in 1 2 3 4 5 6 7 8 9 10; do
    tr '\0' '\n' <"/proc/$guard/cmdline" 2>/dev/null | grep -qx portcullis-guard &&
        tr '\0' '\n' <"/proc/$guard/cmdline" | grep -qx sh && exit 0
    sleep 0.1 2>/dev/null || sleep 1
done
echo "the guard did not start" >&2
exit 1
"#;

/// Tells the guards that run: process, change, until when; and the time since the start of the machine.
const LIST: &str = r#"
for file in $(grep -l portcullis-guard /proc/[0-9]*/cmdline 2>/dev/null); do
    set -- $(tr '\0' '\n' <"$file" 2>/dev/null | tail -n 3)
    pid=${file#/proc/}
    [ "${1-}" = portcullis-guard ] && [ $# -eq 3 ] && echo "guard ${pid%/cmdline} $2 $3"
done
read -r up rest </proc/uptime
echo "uptime ${up%%.*}"
"#;

/// Ends the guard of a change and waits until it is gone; one whose time has come does not let itself be ended.
const END: &str = r#"
for file in $(grep -l portcullis-guard /proc/[0-9]*/cmdline 2>/dev/null); do
    tag=$1
    set -- "$tag" $(tr '\0' '\n' <"$file" 2>/dev/null | tail -n 3)
    if [ "${2-}" = portcullis-guard ] && [ "${3-}" = "$tag" ]; then
        pid=${file#/proc/}; pid=${pid%/cmdline}
        kill -TERM "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null
        for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
            grep -q portcullis-guard "$file" 2>/dev/null || break
            [ "$try" -lt 6 ] && sleep 0.1 2>/dev/null || sleep 1
        done
    fi
    set -- "$tag"
done
exit 0
"#;

/// A guard that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    /// The change that it guards.
    pub(crate) tag: String,
    /// How long until it takes the change back.
    pub(crate) left: Duration,
}

/// Starts the guard of a change. `on_trial` is a command that succeeds as long as something of the change is on trial.
pub(crate) fn start(tag: &str, trial: Duration, on_trial: &str, undo: &Acts) -> Act {
    let script = format!(
        r#"trap '' HUP INT
while read -r up rest </proc/uptime; left=$(($2 - ${{up%%.*}})); [ "$left" -gt 0 ]; do sleep "$left"; done
trap '' TERM
pause=1
while {on_trial}; do
{}sleep $pause
[ $pause -lt 16 ] && pause=$((pause * 2))
done
"#,
        undo.script()
    );
    let seconds = trial.as_secs().max(1).to_string();
    Act {
        shown: Some(format!(
            "# first a guard process is started, which takes it back after {seconds} s unless it is confirmed"
        )),
        ..Act::new("sh", &["-c", START, "sh", &script, tag, &seconds])
    }
}

/// Ends the guard of a change.
pub(crate) fn end(tag: &str) -> Act {
    Act {
        shown: Some("# then its guard process is ended".into()),
        ..Act::new("sh", &["-c", END, "sh", tag])
    }
}

/// The guards that run on a machine.
///
/// # Errors
/// When there is no shell to ask.
pub(crate) fn running(machine: &Machine) -> Result<Vec<Guard>, FirewallError> {
    let finished = Act::new("sh", &["-c", LIST]).run("read the guards of", machine)?;
    Ok(parse(&finished.stdout))
}

fn parse(listed: &str) -> Vec<Guard> {
    let words: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let seconds = |word: &str| word.parse::<u64>().ok();
    let uptime = words.iter().find_map(|line| match line.as_slice() {
        ["uptime", up] => seconds(up),
        _ => None,
    });
    let guard = |line: &Vec<&str>| match line.as_slice() {
        ["guard", _, tag, until] => Some(Guard {
            tag: (*tag).to_owned(),
            left: Duration::from_secs(seconds(until)?.saturating_sub(uptime?)),
        }),
        _ => None,
    };
    words.iter().filter_map(guard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_listing_says_is_read_and_the_rest_is_not() {
        let listed = "guard 12 3f2a91 150\nguard x y\nnonsense\nuptime 100\n";
        let expected = Guard {
            tag: "3f2a91".into(),
            left: Duration::from_secs(50),
        };
        assert_eq!(parse(listed), [expected]);
        assert_eq!(parse("guard 12 3f2a91 150"), []);
    }

    /// A real guard on this machine, whose only deed is to write a file.
    #[test]
    fn it_runs_until_its_time_and_can_be_ended_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("undone");
        let undo = Acts::from(Act::new("touch", &[&file.to_string_lossy()]));
        let on_trial = format!("[ ! -e '{}' ]", file.display());
        let tag = format!("{:06x}", std::process::id() & 0xff_ffff);
        let runs = || {
            running(&Machine::Here)
                .unwrap()
                .iter()
                .any(|guard| guard.tag == tag)
        };

        start(&tag, Duration::from_secs(4320), &on_trial, &undo)
            .run("try", &Machine::Here)
            .unwrap();
        assert!(runs());
        // What it waits with is ended with it.
        let waiting = || {
            let pgrep = portcullis_sys::run("pgrep", &["-x", "-a", "sleep"], "", Duration::from_secs(30));
            pgrep.unwrap().stdout.lines().any(|line| line.ends_with(" 4321"))
        };
        assert!(waiting());
        end(&tag).run("try", &Machine::Here).unwrap();
        assert!(!runs() && !file.exists() && !waiting());

        start(&tag, Duration::from_secs(1), &on_trial, &undo)
            .run("try", &Machine::Here)
            .unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while runs() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(!runs() && file.exists());
    }

    /// As when somebody else holds the lock of iptables for minutes.
    #[test]
    fn it_does_not_give_up_before_the_trial_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let (file, tries) = (folder.path().join("undone"), folder.path().join("tries"));
        let undo = format!(
            "echo x >>'{0}'; [ $(wc -l <'{0}') -lt 4 ] || touch '{1}'",
            tries.display(),
            file.display()
        );
        let undo = Acts::from(Act::new("sh", &["-c", &undo]));
        let on_trial = format!("[ ! -e '{}' ]", file.display());
        let tag = format!("{:06x}", (std::process::id() & 0xff_ffff) ^ 1);
        start(&tag, Duration::from_secs(1), &on_trial, &undo)
            .run("try", &Machine::Here)
            .unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !file.exists() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(file.exists());
        end(&tag).run("try", &Machine::Here).unwrap();
    }
}
