//! What every error that reaches a person can say about itself.

/// Exit codes of the command line. They are a contract: scripts and schedulers read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Nothing wrong.
    Clean = 0,
    /// Exposures found, drift, or "not closed".
    Found = 1,
    /// Bad usage or bad configuration.
    Usage = 2,
    /// Done in part: something was not tested.
    Partial = 3,
    /// Refused: permission, window, would lock out, not approved.
    Refused = 4,
    /// Failed.
    Failed = 5,
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// An error that a person will read: it has a stable code, an exit code, and may have a hint.
pub trait Fault: std::error::Error {
    /// Stable code, two letters and three digits, e.g. `FW003`; listed in `docs/errors.md`.
    fn code(&self) -> &'static str;
    /// What the reader can do about it.
    fn hint(&self) -> Option<String> {
        None
    }
    /// How the process ends when this error ends it.
    fn exit(&self) -> Exit;
}
