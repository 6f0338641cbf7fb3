//! The hours of the week in which a permission counts.

use jiff::{Timestamp, tz::TimeZone};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{MaintenanceWindow, WindowError};

/// Weekly windows in one time zone; outside all of them nothing is permitted.
#[derive(Debug, Clone)]
pub struct Hours {
    timezone: TimeZone,
    windows: Vec<MaintenanceWindow>,
}

impl Hours {
    /// No window yet: never open.
    pub(super) fn new(timezone: TimeZone) -> Self {
        Self {
            timezone,
            windows: Vec::new(),
        }
    }

    /// Adds a window in the words of [`MaintenanceWindow::new`].
    pub(super) fn add(&mut self, when: &str) -> Result<(), WindowError> {
        let window = MaintenanceWindow::new("permission", when, self.timezone.clone())?;
        self.windows.push(window);
        Ok(())
    }

    /// Whether one of the windows is open at this moment.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.windows.iter().any(|window| window.is_open(at))
    }

    /// The next moment after `at` at which one of the windows opens.
    pub fn next_opening(&self, at: Timestamp) -> Option<Timestamp> {
        let openings = self.windows.iter().filter_map(|window| window.next_opening(at));
        openings.min()
    }

    /// A moment as the owner's clock shows it, e.g. `Mon 2026-11-23 22:00 Europe/Oslo`.
    pub(super) fn local(&self, at: Timestamp) -> String {
        let local = at.to_zoned_datetime(self.timezone.clone());
        format!("{} {}", local.strftime("%a %Y-%m-%d %H:%M"), self.zone())
    }

    fn zone(&self) -> &str {
        self.timezone.iana_name().unwrap_or("UTC")
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.windows.iter().map(|window| window.when.as_str())
    }
}

/// Two are equal when they were written alike.
impl PartialEq for Hours {
    fn eq(&self, other: &Self) -> bool {
        self.timezone == other.timezone && self.texts().eq(other.texts())
    }
}

impl Eq for Hours {}

impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Hours", 2)?;
        fields.serialize_field("timezone", self.zone())?;
        fields.serialize_field("when", &self.texts().collect::<Vec<_>>())?;
        fields.end()
    }
}
