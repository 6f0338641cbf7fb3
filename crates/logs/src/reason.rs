//! Why a line that should be an event is none. A closed list, so that lines are counted by it.

use std::fmt;

/// Why a line cannot be read. The line itself stands beside it in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The fields from the middle on are there, those before are not.
    BeginningMissing,
    /// The last line of the file ends in the middle of a field.
    NoEnd,
    /// The line stops before this field.
    CutOffBefore(&'static str),
    /// A field that must be there is not.
    Missing(&'static str),
    /// The field is not an address.
    NotAnAddress(&'static str),
    /// The field is not a port.
    NotAPort(&'static str),
    /// The field is not a number.
    NotANumber(&'static str),
    /// The field has a value that the format's description does not know.
    NotKnown(&'static str),
    /// More bytes than [`crate::LONGEST_LINE`].
    TooLong,
    /// It should be a JSON object and is none.
    NotJson,
    /// Columns came before the line that names them.
    NoColumns,
    /// A second record begins before the line ends.
    Glued,
    /// The packet is empty, or is no IP packet.
    NotIp,
    /// The file could not be read further.
    Stopped,
    /// A connection of syslog ended within the message.
    Unfinished,
    /// A line within a message of syslog, behind its first one.
    WithinMessage,
    /// A connection of syslog does not say how long the message is.
    NoFrame,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeginningMissing => f.write_str("the beginning of the line is missing"),
            Self::NoEnd => f.write_str("the last line has no end and is cut off in a field"),
            Self::CutOffBefore(field) => write!(f, "the line is cut off before {field}"),
            Self::Missing(field) => write!(f, "the line has no {field}"),
            Self::NotAnAddress(field) => write!(f, "{field} is not an address"),
            Self::NotAPort(field) => write!(f, "{field} is not a port"),
            Self::NotANumber(field) => write!(f, "{field} is not a number"),
            Self::NotKnown(field) => write!(f, "the value of {field} is not known"),
            Self::TooLong => write!(f, "the line has more than {} bytes", crate::LONGEST_LINE),
            Self::NotJson => f.write_str("the line is no JSON object of this format"),
            Self::NoColumns => f.write_str("the line that names the columns is missing"),
            Self::Glued => f.write_str("two records stand in one line, and one of them may be cut off: neither is counted"),
            Self::NotIp => f.write_str("the packet does not begin with an IP header"),
            Self::Stopped => f.write_str("the log could not be read further"),
            Self::Unfinished => f.write_str("the connection ended within the message"),
            Self::WithinMessage => f.write_str(
                "the line stands within a message of syslog, behind its first line: a stranger may have written it",
            ),
            Self::NoFrame => f.write_str("no length stands before the message: the connection was closed"),
        }
    }
}
