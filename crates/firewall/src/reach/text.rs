//! Texts by what they look like.

use super::{ReachError, Ruleset, nft, save, windows};
use crate::family::Family;

/// What a text of rules is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// `nft -j list ruleset`
    NftJson,
    /// `iptables-save`, of iptables-nft or iptables-legacy.
    IptablesSave,
    /// `ip6tables-save`
    Ip6tablesSave,
    /// `Get-NetFirewallRule` and what belongs to it, through `ConvertTo-Json`.
    WindowsJson,
}

impl TextKind {
    /// What a text looks like; a save without a first line and without an address is taken for one of IPv4.
    pub fn of(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty());
        let begin = text.trim_start_matches('\u{feff}').trim_start();
        if begin.starts_with('[') {
            return Some(Self::WindowsJson);
        }
        if let Some(object) = begin.strip_prefix('{') {
            let of_windows = ["\"InstanceID\"", "\"DefaultInboundAction\"", "\"NetFirewall"];
            let is_nft = object.trim_start().starts_with("\"nftables\"");
            return Some(if !is_nft && of_windows.iter().any(|name| text.contains(name)) {
                Self::WindowsJson
            } else {
                Self::NftJson
            });
        }
        let is_save = lines
            .find(|line| !line.starts_with('#'))
            .is_some_and(|line| line.starts_with('*'));
        if !is_save {
            return None;
        }
        Some(match save::family(text) {
            Family::V4 => Self::IptablesSave,
            Family::V6 => Self::Ip6tablesSave,
        })
    }
}

impl Ruleset {
    /// Adds what a text says. Nobody may add the same rules twice: iptables-nft has its own in the tables of nftables.
    ///
    /// # Errors
    /// When it breaks off, is damaged, or is no text that any reader knows.
    pub fn add(&mut self, text: &str, kind: Option<TextKind>) -> Result<(), ReachError> {
        let kind = kind.or_else(|| TextKind::of(text)).ok_or(ReachError::Format)?;
        if kind == TextKind::WindowsJson {
            return self.add_windows(windows::read(text)?);
        }
        let read = match kind {
            TextKind::NftJson | TextKind::WindowsJson => nft::read(text)?,
            TextKind::IptablesSave => save::read(text, Family::V4)?,
            TextKind::Ip6tablesSave => save::read(text, Family::V6)?,
        };
        if self.windows.is_some() {
            return Err(ReachError::Mixed);
        }
        self.tables.extend(read.tables);
        self.strangers.extend(read.strangers);
        Ok(())
    }

    fn add_windows(&mut self, policy: windows::Policy) -> Result<(), ReachError> {
        if !self.tables.is_empty() || !self.strangers.is_empty() {
            return Err(ReachError::Mixed);
        }
        self.windows.get_or_insert_default().extend(policy);
        Ok(())
    }

    /// Says that there are rules that could not be read.
    pub fn add_unreadable(&mut self, what: impl Into<String>) {
        self.strangers.push(what.into());
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        let of_tables: usize = self
            .tables
            .iter()
            .flat_map(|table| table.chains.values())
            .map(|chain| chain.rules.len())
            .sum();
        of_tables.saturating_add(self.windows.as_ref().map_or(0, windows::Policy::rules))
    }
}
