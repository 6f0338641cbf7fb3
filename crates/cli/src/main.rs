//! The `portcullis` program: arguments in, use-cases called, text or JSON out.

mod arguments;
mod cmds;
mod csaf_vex;
mod cyclonedx;
mod environment;
mod hand_on;
mod introduced;
mod nmap_xml;
mod output;
mod progress;
mod report;
mod statements;
mod stop;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match arguments::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    report::logging(cli.global.verbose);
    match cmds::run(cli) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(fault) => report::failure(fault.as_ref()),
    }
}
