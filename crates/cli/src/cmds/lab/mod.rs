//! `portcullis lab`

mod story;

use std::process::Command;

use portcullis_lab::{Hold, HoldEvent, Lab, LabError, device, hold, plant, supervisor};
use portcullis_model::Exit;

use super::{Outcome, fault};
use crate::{arguments, output::table, report};

pub(super) fn run(arguments: &arguments::Lab) -> Outcome {
    let around_us = Lab::around_us();
    if around_us.is_some()
        && matches!(
            arguments,
            arguments::Lab::Run | arguments::Lab::Up | arguments::Lab::Down
        )
    {
        // Seen from inside, the processes of the lab have other ids: nothing that is done to them would be right.
        return Err(fault(LabError::Inside));
    }
    let lab = around_us.unwrap_or_else(Lab::of_this_user);
    match arguments {
        arguments::Lab::Run => story::run(&lab),
        arguments::Lab::Up => up(&lab),
        arguments::Lab::Down => down(&lab),
        arguments::Lab::Shell { host } => shell(&lab, host),
        arguments::Lab::Exec { host, command } => exec(&lab, host, command),
        arguments::Lab::Hold {
            peer,
            source_port,
            patience,
        } => hold_connection(&Hold {
            peer: *peer,
            source_port: *source_port,
            until: *patience,
        }),
        arguments::Lab::Keep { .. } => supervisor::keep().map(|()| Exit::Clean).map_err(fault),
        arguments::Lab::Plant => supervisor::plant(&lab).map(|()| Exit::Clean).map_err(fault),
        arguments::Lab::Device { host } => device::play(host).map(|()| Exit::Clean).map_err(fault),
    }
}

fn up(lab: &Lab) -> Outcome {
    lab.up().map_err(fault)?;
    say(&format!(
        "{}\n\nThe plant is up. Its devices are stand-ins; its network, kernel and firewall are real.\n\
         Next: `portcullis lab shell engineering`, and there `portcullis scan 10.7.10.0/28`; `portcullis lab down` ends it.",
        hosts()
    ));
    Ok(Exit::Clean)
}

fn hosts() -> String {
    let rows = plant::HOSTS.iter().map(|host| {
        [
            host.name.to_owned(),
            host.zone.to_owned(),
            host.v4(),
            host.v6(),
            host.device.to_string(),
        ]
    });
    table(["host", "zone", "ipv4", "ipv6", "plays"], rows)
}

fn down(lab: &Lab) -> Outcome {
    let was_there = lab.down().map_err(fault)?;
    say(if was_there {
        "The plant is gone: no process, namespace or file of it is left."
    } else {
        "No plant was up."
    });
    Ok(Exit::Clean)
}

fn shell(lab: &Lab, host: &str) -> Outcome {
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
    let mut command = lab.command(host, &shell).map_err(fault)?;
    command.env("PS1", format!("[{host}] \\w \\$ "));
    finish(command)
}

fn exec(lab: &Lab, host: &str, words: &[String]) -> Outcome {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(Exit::Usage);
    };
    let mut command = lab.command(host, program).map_err(fault)?;
    command.args(arguments);
    finish(command)
}

/// Runs a command to its end and ends as it did.
fn finish(mut command: Command) -> Outcome {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(i32::from(Exit::Failed.code()))),
        Err(source) => {
            let program = command.get_program().to_string_lossy().into_owned();
            Err(fault(LabError::System {
                act: "run a command in",
                source: sys_start(program, source),
            }))
        }
    }
}

fn sys_start(program: String, source: std::io::Error) -> portcullis_lab::SysError {
    portcullis_lab::SysError::Start { program, source }
}

fn hold_connection(request: &Hold) -> Outcome {
    let peer = request.peer;
    let mut exit = Exit::Clean;
    let held = hold(request, |event| match event {
        HoldEvent::Connected { local } => say(&format!("connected: {local} -> {peer}")),
        HoldEvent::Alive { after, sent } => {
            say(&format!(
                "alive: {peer} took all {sent} bytes of {:.1} s",
                after.as_secs_f32()
            ));
        }
        HoldEvent::Cut {
            after,
            unacknowledged,
        } => {
            exit = Exit::Found;
            let after = after.as_secs_f32();
            say(&format!(
                "cut: after {after:.1} s {peer} no longer takes what is sent ({unacknowledged} bytes wait)"
            ));
        }
    });
    if let Err(error) = held {
        say(&format!("cut: {peer}: {error}"));
        exit = Exit::Found;
    }
    Ok(exit)
}

/// Prints a line of the lab's own output.
fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        report::eprintln_all("nobody reads the output any more");
    }
}
