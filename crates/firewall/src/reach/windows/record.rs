//! One object as `ConvertTo-Json` prints it: of each property that has a bearing, its words.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What of a rule stands in an object of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Get-NetFirewallPortFilter
    Ports,
    /// Get-NetFirewallAddressFilter
    Addresses,
    /// Get-NetFirewallApplicationFilter
    Application,
    /// Get-NetFirewallServiceFilter
    Service,
    /// Get-NetFirewallInterfaceFilter
    Interface,
    /// Get-NetFirewallInterfaceTypeFilter
    InterfaceType,
    /// Get-NetFirewallSecurityFilter
    Security,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Ports,
        Self::Addresses,
        Self::Application,
        Self::Service,
        Self::Interface,
        Self::InterfaceType,
        Self::Security,
    ];

    /// The command that prints it.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Ports => "Get-NetFirewallPortFilter",
            Self::Addresses => "Get-NetFirewallAddressFilter",
            Self::Application => "Get-NetFirewallApplicationFilter",
            Self::Service => "Get-NetFirewallServiceFilter",
            Self::Interface => "Get-NetFirewallInterfaceFilter",
            Self::InterfaceType => "Get-NetFirewallInterfaceTypeFilter",
            Self::Security => "Get-NetFirewallSecurityFilter",
        }
    }

    /// The properties of it that are looked at.
    fn properties(self) -> &'static [&'static str] {
        match self {
            Self::Ports => &[
                "protocol",
                "localport",
                "remoteport",
                "dynamictarget",
                "dynamictransport",
            ],
            Self::Addresses => &["localaddress", "remoteaddress"],
            Self::Application => &["program", "apppath", "package"],
            Self::Service => &["service", "servicename"],
            Self::Interface => &["interfacealias"],
            Self::InterfaceType => &["interfacetype"],
            Self::Security => &[
                "authentication",
                "encryption",
                "overrideblockrules",
                "localuser",
                "localusers",
                "remoteuser",
                "remoteusers",
                "remotemachine",
                "remotemachines",
            ],
        }
    }

    /// The properties by one of which it is known; no other object has them.
    fn marks(self) -> &'static [&'static str] {
        match self {
            Self::Ports => &["localport"],
            Self::Addresses => &["remoteaddress"],
            Self::Application => &["program", "apppath"],
            Self::Service => &["service", "servicename"],
            Self::Interface => &["interfacealias"],
            Self::InterfaceType => &["interfacetype"],
            Self::Security => &["authentication"],
        }
    }
}

/// All properties that are looked at, in lower case: PowerShell does not tell cases apart, and prints what was typed.
const PROPERTIES: [&str; 46] = [
    "instanceid",
    "name",
    "displayname",
    "enabled",
    "profile",
    "profiles",
    "direction",
    "action",
    "platform",
    "platforms",
    "owner",
    "primarystatus",
    "enforcementstatus",
    "policystoresourcetype",
    "remotedynamickeywordaddresses",
    "policyappid",
    "packagefamilyname",
    "protocol",
    "localport",
    "remoteport",
    "dynamictarget",
    "dynamictransport",
    "localaddress",
    "remoteaddress",
    "program",
    "apppath",
    "package",
    "service",
    "servicename",
    "interfacealias",
    "interfacetype",
    "authentication",
    "encryption",
    "overrideblockrules",
    "localuser",
    "localusers",
    "remoteuser",
    "remoteusers",
    "remotemachine",
    "remotemachines",
    "defaultinboundaction",
    "allowinboundrules",
    "allowlocalfirewallrules",
    "disabledinterfacealiases",
    "isnegated",
    "edgetraversalpolicy",
];

/// The properties of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record(BTreeMap<&'static str, Said>);

/// What a property has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// One word, several, or none where it is null or empty.
    Words(Vec<String>),
    /// Something that no such property has.
    Unreadable,
}

impl Record {
    pub(super) fn of(object: &Map<String, Value>) -> Self {
        let mut properties = BTreeMap::new();
        for (name, value) in object {
            let name = name.to_ascii_lowercase();
            let Some(known) = PROPERTIES.into_iter().find(|known| *known == name) else {
                continue;
            };
            let said = said(value);
            properties
                .entry(known)
                .and_modify(|before| {
                    if *before != said {
                        *before = Said::Unreadable;
                    }
                })
                .or_insert(said);
        }
        Self(properties)
    }

    pub(super) fn has(&self, property: &str) -> bool {
        self.0.contains_key(property)
    }

    pub(super) fn is_rule(&self) -> bool {
        self.has("direction") && self.has("action")
    }

    pub(super) fn is_profile(&self) -> bool {
        self.has("defaultinboundaction")
    }

    /// The filters that it is.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        let is = |kind: &Kind| kind.marks().iter().any(|mark| self.has(mark));
        Kind::ALL.into_iter().filter(is)
    }

    /// What of it belongs to one filter.
    pub(super) fn side(&self, kind: Kind) -> Self {
        let of_kind = |name: &&'static str| kind.properties().contains(name) || *name == "isnegated";
        let names = self.0.iter().filter(|(name, _)| of_kind(name));
        Self(names.map(|(name, said)| (*name, said.clone())).collect())
    }

    /// The words of a property; `None` where it is missing or is not read.
    pub(super) fn words(&self, property: &str) -> Option<&[String]> {
        match self.0.get(property)? {
            Said::Words(words) => Some(words),
            Said::Unreadable => None,
        }
    }

    /// The same of the first of several names of one property that is there.
    pub(super) fn words_of(&self, names: &[&str]) -> Option<&[String]> {
        let name = names.iter().find(|name| self.has(name))?;
        self.words(name)
    }

    /// The only word of a property.
    pub(super) fn word(&self, property: &str) -> Option<&str> {
        match self.words(property)? {
            [one] => Some(one),
            _ => None,
        }
    }
}

fn said(value: &Value) -> Said {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        // Windows PowerShell 5.1 prints some lists so.
        Value::Object(wrapped) => match (wrapped.get("value"), wrapped.get("Count")) {
            (Some(Value::Array(list)), Some(_)) => list,
            _ => return Said::Unreadable,
        },
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    let word = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    };
    match list.iter().map(word).collect::<Option<Vec<_>>>() {
        Some(words) => Said::Words(words.into_iter().filter(|word| !word.is_empty()).collect()),
        None => Said::Unreadable,
    }
}
