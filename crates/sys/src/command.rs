//! Running the system's own tools (`nft`, `ip`, `iptables-save` …).

use std::{
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::SysError;

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Whether it ended with status 0.
    pub success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained of, trimmed.
    pub stderr: String,
}

/// Folders that hold the tools of the administrator; ordinary users often lack them in `PATH`.
const ADMIN_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// The path of a program, looked for in `PATH` and in the administrator's folders.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(ADMIN_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok() && path.is_file()
}

/// Runs a program to its end, gives it `stdin`, and collects what it prints.
///
/// It runs in its own process group, so that a Ctrl-C at the terminal reaches Portcullis alone and cannot cut a
/// firewall transaction short. `timeout` bounds it: a hanging tool must not hold up a trial.
///
/// # Errors
/// When it is not installed, cannot be started, or does not end in time (it is then ended). A non-zero exit status is
/// not an error here: see [`Finished::success`].
pub fn run(program: &str, arguments: &[&str], stdin: &str, timeout: Duration) -> Result<Finished, SysError> {
    let path = find_program(program).ok_or_else(|| SysError::MissingProgram {
        program: program.into(),
    })?;
    let start = |source| SysError::Start {
        program: program.into(),
        source,
    };
    let mut child = Command::new(path)
        .args(arguments)
        // The messages are parsed and shown: they must not depend on the operator's language.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(start)?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let Some(mut pipe) = child.stdin.take() {
        let input = stdin.as_bytes().to_vec();
        // A program that does not read its input closes the pipe; its exit status tells more than the broken pipe.
        thread::spawn(move || pipe.write_all(&input));
    }
    let deadline = Instant::now() + timeout;
    let mut pause = Duration::from_micros(200);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(start)? {
            break status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(SysError::Slow {
                program: program.into(),
                seconds: timeout.as_secs(),
            });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let text = |collected: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&collected.join().unwrap_or_default()).into_owned()
    };
    Ok(Finished {
        success: status.success(),
        stdout: text(stdout),
        stderr: text(stderr).trim().to_owned(),
    })
}

fn collect<R: Read + Send + 'static>(pipe: Option<R>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _: io::Result<usize> = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_model::Fault;

    #[test]
    fn input_output_and_status_come_through() {
        let finished = run(
            "sh",
            &["-c", "cat; echo no >&2; exit 3"],
            "yes",
            Duration::from_secs(10),
        )
        .unwrap();
        assert_eq!(
            (
                finished.success,
                finished.stdout.as_str(),
                finished.stderr.as_str()
            ),
            (false, "yes", "no")
        );
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = run("sleep", &["60"], "", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, SysError::Slow { .. }));
    }

    #[test]
    fn a_missing_tool_is_named_with_its_package() {
        let error = SysError::MissingProgram {
            program: "nft".into(),
        };
        assert!(error.hint().unwrap().contains("apt install nftables"));
        let error = run("no-such-tool", &[], "", Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.code(), "SY001");
    }
}
