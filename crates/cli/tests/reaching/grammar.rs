//! Random rules: tables of nftables, and saves of iptables in both of its kinds.

use std::fmt::Write as _;

use crate::chance::Chance;

/// The rules of the box, kept apart so that a failure can be made smaller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Tables that somebody has written down.
    pub(crate) plain: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) saves: Vec<Save>,
    /// Tables of nftables in the places of iptables, which are loaded when those of iptables are there.
    pub(crate) beside: Vec<Table>,
    /// The same, as somebody has written it down.
    pub(crate) plain_beside: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) head: String,
    /// Sets and maps.
    pub(crate) sets: Vec<String>,
    pub(crate) chains: Vec<Chain>,
}

#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) head: String,
    pub(crate) rules: Vec<String>,
}

/// One table of iptables.
#[derive(Debug, Clone)]
pub(crate) struct Save {
    pub(crate) v6: bool,
    pub(crate) legacy: bool,
    pub(crate) table: &'static str,
    pub(crate) chains: Vec<String>,
    pub(crate) rules: Vec<String>,
}

impl Rules {
    pub(crate) fn nft(&self) -> String {
        format!("{}{}", self.plain, text_of(&self.tables))
    }

    /// What is loaded after everything else.
    pub(crate) fn nft_beside(&self) -> String {
        format!("{}{}", self.plain_beside, text_of(&self.beside))
    }

    pub(crate) fn save(&self, v6: bool, legacy: bool) -> Option<String> {
        let mut text = String::new();
        for save in self
            .saves
            .iter()
            .filter(|save| (save.v6, save.legacy) == (v6, legacy))
        {
            let _ = writeln!(text, "*{}", save.table);
            save.chains.iter().for_each(|chain| text += &format!("{chain}\n"));
            save.rules.iter().for_each(|rule| text += &format!("{rule}\n"));
            text += "COMMIT\n";
        }
        (!text.is_empty()).then_some(text)
    }

    /// Every list from which something can be left out.
    pub(crate) fn lists(&mut self) -> Vec<&mut Vec<String>> {
        let of_tables = self
            .tables
            .iter_mut()
            .chain(&mut self.beside)
            .flat_map(|table| &mut table.chains)
            .map(|chain| &mut chain.rules);
        of_tables
            .chain(self.saves.iter_mut().map(|save| &mut save.rules))
            .collect()
    }
}

fn text_of(tables: &[Table]) -> String {
    let mut text = String::new();
    for table in tables {
        let _ = writeln!(text, "table {} {{", table.head);
        table.sets.iter().for_each(|set| text += &format!("  {set}\n"));
        // Every chain must be there before a rule enters it.
        table.chains.iter().rev().for_each(|chain| {
            let _ = writeln!(text, "  chain {}", chain.head);
            chain
                .rules
                .iter()
                .for_each(|rule| text += &format!("    {rule}\n"));
            text += "  }\n";
        });
        text += "}\n";
    }
    text
}

/// What a ruleset is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) asked: u16,
    pub(crate) other: u16,
}

/// What the model once had wrong, as small as it could be made. They come before all that is random.
const KEPT: [(&str, &str, &str); 21] = [
    // A reject by ICMP is for IPv4 only, which its listing does not say; a reset is for TCP only.
    (
        "table inet t { chain c { type filter hook input priority 0; policy accept;\n meta nfproto ipv4 reject\n}\n}",
        "",
        "",
    ),
    (
        "table inet t { chain c { type filter hook input priority 0; policy accept;\n meta nfproto ipv6 reject\n}\n}",
        "",
        "",
    ),
    (
        "table inet t { chain c { type filter hook input priority 0; policy accept;\n meta l4proto tcp reject with tcp reset\n}\n}",
        "",
        "",
    ),
    // Chains of kind nat are asked only where connections are tracked.
    (
        "table inet t { chain c { type nat hook prerouting priority 1; policy drop;\n}\n}",
        "",
        "",
    ),
    (
        "table inet t { chain c { type nat hook prerouting priority 1; policy drop;\n}\n\
         chain d { type filter hook input priority 0; policy accept;\n ct state invalid drop\n}\n}",
        "",
        "",
    ),
    // A translation of the source is for its family only.
    (
        "table inet t { chain c { type nat hook postrouting priority 100; policy accept;\n snat ip to 203.0.119.1\n\
         oifname docker0 drop\n}\n}",
        "",
        "",
    ),
    // An answer to a translated source is for this host until it is translated back.
    (
        "table inet t { chain c { type filter hook prerouting priority -310; policy drop;\n fib daddr type != local accept\n}\n\
         chain d { type nat hook postrouting priority 0; policy accept;\n oifname docker0 masquerade\n}\n}",
        "",
        "",
    ),
    // A third packet that is not tracked is not translated as the first one was.
    (
        "table inet t { chain c { type filter hook prerouting priority -300; policy accept;\n tcp flags & syn == 0 notrack\n}\n\
         chain d { type nat hook prerouting priority -100; policy accept;\n tcp dport ASKED redirect to :OTHER\n}\n}",
        "",
        "",
    ),
    // A connection whose third packet is stopped does not stand.
    (
        "table inet t { chain c { type filter hook input priority 0; policy accept;\n\
         tcp flags & (fin|syn|rst|ack) == syn accept\n ct direction original reject\n}\n}",
        "",
        "",
    ),
    (
        "",
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m state --state ESTABLISHED -j REJECT\nCOMMIT\n",
        "",
    ),
    // A translation to where the packet goes anyway is none.
    (
        "table inet t { chain c { type filter hook input priority 50; policy accept;\n ct status & dnat == 0 accept\n drop\n}\n\
         chain d { type nat hook prerouting priority -100; policy accept;\n tcp dport ASKED dnat ip to 203.0.111.1\n}\n}",
        "",
        "",
    ),
    // Translations to nobody, to several hosts at once, to where no route leads, to the routers of a network.
    (
        "table inet t { chain d { type nat hook prerouting priority -100; policy accept;\n\
         ip saddr 10.0.0.0/10 tcp dport ASKED dnat ip to 0.0.0.0:OTHER\n tcp dport ASKED dnat ip to 203.0.110.255:OTHER\n\
         ip saddr 10.0.0.0/10 udp dport ASKED dnat ip to 224.0.0.5:OTHER\n udp dport ASKED dnat ip to 0.0.0.0:OTHER\n}\n}",
        "",
        "",
    ),
    (
        "table inet t { chain d { type nat hook prerouting priority -100; policy accept;\n\
         ip saddr 10.0.0.0/10 tcp dport ASKED dnat ip to 198.51.100.9:OTHER\n udp dport ASKED dnat ip to 203.0.110.255:OTHER\n\
         tcp dport ASKED dnat ip6 to [fd00::]:OTHER\n udp dport ASKED dnat ip6 to [ff02::1]:OTHER\n}\n}",
        "",
        "",
    ),
    // The third packet of a connection that is not tracked is taken for a first one.
    (
        "table inet t { chain c { type filter hook prerouting priority -300; policy accept;\n tcp flags syn notrack\n}\n\
         chain d { type filter hook input priority 0; policy accept;\n ct state new drop\n}\n}",
        "",
        "",
    ),
    // A chain at one interface, before the network layer; a table without effect.
    (
        "table netdev n { chain ing { type filter hook ingress device eth0 priority 0; policy accept;\n\
         ip saddr 10.0.0.0/10 tcp dport ASKED drop\n}\n}\n\
         table inet t { chain c { type filter hook input priority 0; policy accept;\n ip saddr 10.64.0.0/11 drop\n}\n}",
        "",
        "",
    ),
    (
        "table inet f { chain c { type filter hook ingress device eth1 priority 0; policy accept;\n\
         tcp flags & (syn|ack) == ack drop\n udp dport ASKED drop\n}\n}",
        "",
        "",
    ),
    (
        "table inet t { flags dormant;\n chain c { type filter hook input priority 0; policy drop;\n}\n}",
        "",
        "",
    ),
    // Chains of nftables in the tables of iptables, alone and beside those of iptables.
    (
        "",
        "",
        "table ip filter { chain in { type filter hook input priority 0; policy drop;\n}\n}",
    ),
    (
        "",
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m state --state NEW -m comment --comment x -j ACCEPT\nCOMMIT\n",
        "table ip filter { chain in { type filter hook input priority 5; policy accept;\n tcp dport ASKED ip saddr 10.0.0.0/10 drop\n}\n}\n\
         table ip nat { chain pre { type nat hook prerouting priority -100; policy accept;\n udp dport ASKED redirect to :OTHER\n}\n}",
    ),
    // Rules of nftables in a chain of iptables, of which its save leaves out what it does not understand.
    (
        "",
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp -m state --state ESTABLISHED -j ACCEPT\nCOMMIT\n",
        "table ip filter { chain INPUT {\n tcp dport { OTHER, 80 } drop\n ip saddr 10.0.0.0-10.0.0.254 drop\n\
         ip saddr . tcp dport { 10.128.0.0/10 . ASKED } drop\n}\n}",
    ),
    (
        "",
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp -m state --state ESTABLISHED -j ACCEPT\nCOMMIT\n",
        "table ip filter { chain INPUT {\n iifname { eth0, docker0 } ip saddr > 10.0.0.9 drop\n\
         ip saddr vmap { 10.0.0.1 : drop, 10.0.0.2-10.0.0.4 : accept }\n}\n}",
    ),
];

/// The rules that are kept.
pub(crate) fn kept(number: usize, ports: Ports) -> Option<Rules> {
    let (plain, save, beside) = KEPT.get(number)?;
    let of_ports = |text: &str| {
        let text = text.replace("ASKED", &ports.asked.to_string());
        format!("{}\n", text.replace("OTHER", &ports.other.to_string()))
    };
    let mut rules = Rules {
        plain: of_ports(plain),
        plain_beside: of_ports(beside),
        ..Rules::default()
    };
    let lines = |keep: fn(&str) -> bool| {
        save.lines()
            .filter(|line| keep(line))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    if !save.is_empty() {
        rules.saves.push(Save {
            v6: false,
            legacy: false,
            table: "filter",
            chains: lines(|line| line.starts_with(':')),
            rules: lines(|line| line.starts_with("-A")),
        });
    }
    Some(rules)
}

pub(crate) fn rules(chance: &mut Chance, ports: Ports) -> Rules {
    let mut rules = Rules::default();
    for number in 0..=chance.below(3) {
        rules.tables.push(table(chance, ports, number));
    }
    for (v6, legacy) in [(false, false), (true, false), (false, true), (true, true)] {
        if chance.one_in(4) {
            rules.saves.extend(saves(chance, ports, v6, legacy));
        }
    }
    for (family, name) in [("ip", "filter"), ("ip6", "filter"), ("ip", "nat"), ("ip6", "nat")] {
        if chance.one_in(8) {
            rules.beside.push(beside(chance, ports, family, name));
        }
    }
    rules
}

/// A table of nftables with the name of one of iptables.
fn beside(chance: &mut Chance, ports: Ports, family: &str, name: &str) -> Table {
    let mut maker = Maker {
        chance,
        ports,
        v4: family == "ip",
        v6: family == "ip6",
        family: None,
        transport: None,
        compared: false,
    };
    let sets = maker.sets();
    let (kind, hook, priority) = match name {
        "nat" => ("nat", "prerouting", -100),
        _ => ("filter", *maker.chance.of(&["input", "forward", "prerouting"]), 0),
    };
    // Chains of one priority are another matter.
    let priority = priority + 1 + maker.chance.below(20) as i32;
    let policy = if maker.chance.one_in(6) { "drop" } else { "accept" };
    let rules = (0..1 + maker.chance.below(4))
        .map(|_| match kind {
            "nat" => maker.nat_rule(),
            _ => maker.rule(0, hook),
        })
        .collect();
    Table {
        head: format!("{family} {name}"),
        sets,
        chains: vec![Chain {
            head: format!("beside {{ type {kind} hook {hook} priority {priority}; policy {policy};"),
            rules,
        }],
    }
}

struct Maker<'a> {
    chance: &'a mut Chance,
    ports: Ports,
    v4: bool,
    v6: bool,
    /// What the rule in hand is for, if it has said so: a rule for two protocols is refused.
    family: Option<bool>,
    transport: Option<&'static str>,
    /// It has compared something: nft 1.0.6 lists two comparisons that follow each other as one range.
    compared: bool,
}

fn table(chance: &mut Chance, ports: Ports, number: u64) -> Table {
    let family = *chance.of(&["inet", "inet", "ip", "ip6"]);
    let (v4, v6) = (family != "ip6", family != "ip");
    let mut maker = Maker {
        chance,
        ports,
        v4,
        v6,
        family: None,
        transport: None,
        compared: false,
    };
    let sets = maker.sets();
    let mut chains = Vec::new();
    let regular = maker.chance.below(4);
    for at in 0..regular {
        let count = maker.chance.below(5);
        chains.push(Chain {
            head: format!("c{at} {{"),
            rules: (0..count).map(|_| maker.rule(at, "any")).collect(),
        });
    }
    for at in 0..=maker.chance.below(3) {
        let nat = maker.chance.one_in(5);
        let hook = match nat {
            true => *maker.chance.of(&["prerouting", "prerouting", "postrouting"]),
            false => *maker.chance.of(&[
                "prerouting",
                "prerouting",
                "input",
                "input",
                "forward",
                "output",
                "postrouting",
            ]),
        };
        let kind = if nat { "nat" } else { "filter" };
        let priority = *maker.chance.of(&[
            -310, -300, -250, -200, -150, -100, -99, -50, 0, 0, 1, 10, 50, 100, 150,
        ]);
        // nftables refuses nat before tracking.
        let priority = if nat { priority.max(-199) } else { priority };
        let policy = if maker.chance.one_in(6) { "drop" } else { "accept" };
        let count = 1 + maker.chance.below(7);
        let rules = (0..count)
            .map(|_| {
                if nat && hook == "postrouting" {
                    maker.source_rule()
                } else if nat {
                    maker.nat_rule()
                } else {
                    maker.rule(regular, hook)
                }
            })
            .collect();
        chains.push(Chain {
            head: format!("b{at} {{ type {kind} hook {hook} priority {priority}; policy {policy};"),
            rules,
        });
    }
    chains.reverse();
    Table {
        head: format!("{family} t{number}"),
        sets,
        chains,
    }
}

/// Addresses of the far end, some of each uplink.
fn v4(chance: &mut Chance) -> String {
    let half = chance.below(2) * 128;
    let (b, c, d) = (half + chance.below(3), chance.below(3), chance.below(4));
    match chance.below(8) {
        0 => "10.0.0.0/8".into(),
        1 => format!("10.{half}.0.0/9"),
        2 => format!("10.{b}.0.0/16"),
        3 => format!("10.{b}.{c}.0/24"),
        4 => format!("10.{b}.{c}.{d}"),
        5 => format!("10.{b}.{c}.{}-10.{b}.{}.{}", d, c + 1, chance.below(200)),
        6 => format!("10.{b}.{c}.128/25"),
        _ => format!("10.{b}.{}.0/23", c * 2),
    }
}

fn v6(chance: &mut Chance) -> String {
    let (a, b, c) = (chance.below(2), chance.below(3), chance.below(4));
    match chance.below(6) {
        0 => "fd10::/15".into(),
        1 => format!("fd1{a}::/16"),
        2 => format!("fd1{a}:{b}::/32"),
        3 => format!("fd1{a}:{b}:{c}::/48"),
        4 => format!("fd1{a}:{b}:{c}::{c}"),
        _ => format!("fd1{a}:{b}::-fd1{a}:{b}:{c}::ffff"),
    }
}

/// Networks that do not overlap, for sets and maps.
fn apart(chance: &mut Chance, is_v4: bool) -> Vec<String> {
    let mut all = Vec::new();
    for b in 0..4 {
        if chance.one_in(2) {
            let half = chance.below(2);
            all.push(match (is_v4, chance.below(3)) {
                (true, 0) => format!("10.{}.0.0/16", half * 128 + b),
                (true, 1) => format!("10.{}.1.0/24", half * 128 + b),
                (true, _) => format!("10.{}.0.2-10.{}.1.77", half * 128 + b, half * 128 + b),
                (false, 0) => format!("fd1{half}:{b}::/32"),
                (false, 1) => format!("fd1{half}:{b}:1::/48"),
                (false, _) => format!("fd1{half}:{b}::7-fd1{half}:{b}:2::"),
            });
        }
    }
    if all.is_empty() {
        all.push(if is_v4 {
            "10.0.0.0/10".into()
        } else {
            "fd10::/17".into()
        });
    }
    all
}

/// Now and then an element for all that has no other.
fn all_else(chance: &mut Chance, elements: Vec<String>, one: impl Fn(&mut Chance) -> String) -> Vec<String> {
    let mut elements = elements;
    if chance.one_in(4) {
        elements.push(one(chance));
    }
    elements
}

impl Maker<'_> {
    fn sets(&mut self) -> Vec<String> {
        let Ports { asked, other } = self.ports;
        let mut sets = Vec::new();
        if self.v4 {
            let elements = apart(self.chance, true);
            let elements = all_else(self.chance, elements, |_| "*".into()).join(", ");
            sets.push(format!(
                "set s4 {{ type ipv4_addr; flags interval; elements = {{ {elements} }} }}"
            ));
            let elements: Vec<String> = apart(self.chance, true)
                .into_iter()
                .map(|network| format!("{network} . {asked}"))
                .collect();
            sets.push(format!(
                "set p4 {{ type ipv4_addr . inet_service; flags interval; elements = {{ {}, 10.0.0.0/9 . {other} }} }}",
                elements.join(", ")
            ));
        }
        if self.v6 {
            let elements = apart(self.chance, false).join(", ");
            sets.push(format!(
                "set s6 {{ type ipv6_addr; flags interval; elements = {{ {elements} }} }}"
            ));
        }
        sets.push(format!(
            "set ports {{ type inet_service; flags timeout; elements = {{ {asked} timeout 1h }} }}"
        ));
        sets.push(format!(
            "set none {{ type inet_service; flags interval; elements = {{ 1-10, {other} }} }}"
        ));
        sets
    }

    /// One thing that a rule looks at.
    fn matching(&mut self, hook: &str) -> String {
        let Ports { asked, other } = self.ports;
        let not = if self.chance.one_in(4) { "!= " } else { "" };
        let reply = matches!(hook, "output" | "postrouting");
        let (source, near) = if reply {
            ("daddr", "saddr")
        } else {
            ("saddr", "daddr")
        };
        let (far_port, near_port) = if reply {
            ("dport", "sport")
        } else {
            ("sport", "dport")
        };
        let is_v4 = self
            .family
            .unwrap_or(self.v4 && (!self.v6 || self.chance.one_in(2)));
        let ip = if is_v4 { "ip" } else { "ip6" };
        let tcp = self.transport.unwrap_or("tcp") == "tcp";
        let udp = self.transport.unwrap_or("udp") == "udp";
        // Neither can be asked for everywhere.
        let no_routes = hook == "postrouting" || hook == "any" && !self.chance.one_in(6);
        let kind = match self.chance.below(30) {
            7 | 10 | 14 | 21 | 22 if !tcp => 8,
            8 if !udp => 7,
            9 if self.transport.is_some() => 11,
            19 | 26 if no_routes => 12,
            23 if is_v4 && !tcp => 5,
            kind => kind,
        };
        match kind {
            0..=6 | 24 | 23 => self.family = Some(is_v4),
            7 | 10 | 14 | 21 | 22 => self.transport = Some("tcp"),
            8 => self.transport = Some("udp"),
            _ => {}
        }
        if kind == 23 && is_v4 {
            self.transport = Some("tcp");
        }
        match kind {
            4 if !self.compared && self.chance.one_in(2) => {
                self.compared = true;
                let address = loop {
                    let address = if is_v4 { v4(self.chance) } else { v6(self.chance) };
                    if !address.contains(['-', '/']) {
                        break address;
                    }
                };
                let operator = self.chance.of(&["<", "<=", ">", ">="]);
                format!("{ip} {source} {operator} {address}")
            }
            0..=4 => {
                let address = if is_v4 { v4(self.chance) } else { v6(self.chance) };
                format!("{ip} {source} {not}{address}")
            }
            5 => format!("{ip} {source} {not}@s{}", if is_v4 { 4 } else { 6 }),
            6 => {
                let elements = apart(self.chance, is_v4).join(", ");
                format!("{ip} {source} {not}{{ {elements} }}")
            }
            7 if !self.compared && self.chance.one_in(4) => {
                self.compared = true;
                let operator = self.chance.of(&["<", "<=", ">", ">="]);
                format!("tcp {near_port} {operator} {}", self.chance.of(&[asked, other]))
            }
            7 => format!("tcp {near_port} {not}{asked}"),
            8 => format!("udp {near_port} {not}{{ {asked}, 100-200 }}"),
            9 => format!("meta l4proto {not}{{ tcp, udp }} th {near_port} {asked}"),
            10 => format!("tcp {near_port} {not}@{}", self.chance.of(&["ports", "none"])),
            11 => (*self.chance.of(&[
                "ct state new",
                "ct state established,related",
                "ct state != new",
                "ct state invalid",
                "ct state { new, untracked }",
                "ct state untracked",
                "ct state established",
            ]))
            .into(),
            12 => format!("ct direction {}", self.chance.of(&["original", "reply"])),
            13 => (*self
                .chance
                .of(&["ct status dnat", "ct status & dnat == 0", "ct status snat"]))
            .into(),
            14 => format!(
                "meta l4proto tcp ct original proto-dst {not}{}",
                self.chance.of(&[asked, other])
            ),
            15 => format!("meta mark {not}{}", self.chance.below(4)),
            16 => format!(
                "meta mark & {} == {}",
                self.chance.of(&[1, 3]),
                self.chance.below(2)
            ),
            17 => {
                let name = *self
                    .chance
                    .of(&["eth0", "eth1", "eth*", "docker0", "\"e*\"", "wg0"]);
                format!("iifname {not}{name}")
            }
            18 => format!("iifname {not}{{ eth0, {} }}", self.chance.of(&["docker0", "wg0"])),
            19 => format!(
                "fib daddr type {}",
                self.chance.of(&["local", "{ local, broadcast }", "!= local"])
            ),
            20 if self.v4 && self.v6 && self.family.is_none() => {
                let v4 = self.chance.one_in(2);
                self.family = Some(v4);
                format!("meta nfproto {}", if v4 { "ipv4" } else { "ipv6" })
            }
            20 => {
                let transport = self.transport.unwrap_or_else(|| *self.chance.of(&["tcp", "udp"]));
                self.transport = Some(transport);
                format!("meta l4proto {transport}")
            }
            21 => format!(
                "tcp {far_port} {not}{}",
                self.chance
                    .of(&["1024-65535", "40000", "1-39999", "{ 40000, 50000-60000 }"])
            ),
            22 => format!(
                "tcp flags {}",
                self.chance.of(&[
                    "syn",
                    "& (fin|syn|rst|ack) == syn",
                    "& (syn|ack) == syn|ack",
                    "& rst == rst"
                ])
            ),
            23 if is_v4 => format!("ip {source} . tcp {near_port} {not}@p4"),
            23 => format!("iifname . ip6 {source} {{ eth0 . fd10:1::/32, eth1 . fd11::/17 }}"),
            24 => format!(
                "{ip} {near} {not}{}",
                self.chance.of(&if is_v4 {
                    ["203.0.110.1", "203.0.111.1", "203.0.119.2", "203.0.119.0/24"]
                } else {
                    ["fd00::1", "fd01::1", "fd09::2", "fd09::/64"]
                })
            ),
            25 => format!("ct mark {not}{}", self.chance.below(3)),
            27 if tcp => {
                self.transport = Some("tcp");
                format!(
                    "tcp flags {}",
                    self.chance.of(&[
                        "{ syn, syn|ack }",
                        "!= syn",
                        "== syn|ack",
                        "{ ack, psh|ack }",
                        "!= { syn, ack }"
                    ])
                )
            }
            28 if is_v4 => {
                self.family = Some(true);
                (*self.chance.of(&[
                    "ip hdrlength > 5",
                    "ip hdrlength 5",
                    "ip frag-off & 0x1fff != 0",
                    "ip frag-off & 0x1fff == 0",
                    "ip option lsrr exists",
                    "ip option rr missing",
                ]))
                .into()
            }
            28 => {
                self.family = Some(false);
                (*self.chance.of(&[
                    "exthdr hbh exists",
                    "exthdr frag missing",
                    "rt type 0",
                    "rt type != 0",
                    "frag more-fragments 0",
                ]))
                .into()
            }
            29 if is_v4 => {
                self.family = Some(true);
                let elements = apart(self.chance, true);
                let elements = elements.iter().map(|network| format!("{network} : 2"));
                let elements = all_else(self.chance, elements.collect(), |_| "* : 3".into());
                format!("meta mark set ip saddr map {{ {} }}", elements.join(", "))
            }
            _ => (*self
                .chance
                .of(&["limit rate 1000/second", "meta length 1-10000", "socket mark 0"]))
            .into(),
        }
    }

    fn rule(&mut self, chains: u64, hook: &str) -> String {
        (self.family, self.transport, self.compared) = (None, None, false);
        let mut words = Vec::new();
        for _ in 0..*self.chance.of(&[0, 1, 1, 1, 1, 2, 2, 3]) {
            words.push(self.matching(hook));
        }
        if self.chance.one_in(4) {
            words.push("counter".into());
        }
        if self.chance.one_in(8) {
            let change = match (self.chance.below(4), hook) {
                (0, _) => format!("ct mark set {}", self.chance.below(3)),
                (1, _) => format!("meta mark set mark or {}", self.chance.of(&[1, 2])),
                (2, "prerouting" | "output") => "notrack".into(),
                _ => format!("meta mark set {}", self.chance.below(4)),
            };
            words.push(change);
            if self.chance.one_in(2) {
                words.push(self.matching(hook));
            }
            if self.chance.one_in(2) {
                return words.join(" ");
            }
        }
        // An unconditional end leaves the rest of a chain without anything to show.
        let ends = !words.is_empty() || self.chance.one_in(3);
        words.push(match self.chance.below(if ends { 13 } else { 4 }) {
            0 | 1 if chains > 0 => format!("jump c{}", self.chance.below(chains)),
            2 if chains > 0 => format!("goto c{}", self.chance.below(chains)),
            0..=3 => "counter".into(),
            4..=6 => "accept".into(),
            7 | 8 => "drop".into(),
            9 if hook == "input" || hook == "forward" || hook == "output" => "reject".into(),
            10 => "return".into(),
            11 => self.verdict_map(chains, hook),
            _ => "drop".into(),
        });
        words.join(" ")
    }

    fn verdict_map(&mut self, chains: u64, hook: &str) -> String {
        let reply = matches!(hook, "output" | "postrouting");
        let is_v4 = self
            .family
            .unwrap_or(self.v4 && (!self.v6 || self.chance.one_in(2)));
        let verdict = |chance: &mut Chance| match chance.below(5) {
            0 | 1 => "accept".to_owned(),
            2 => "drop".into(),
            3 if chains > 0 => format!("jump c{}", chance.below(chains)),
            _ => "return".into(),
        };
        let kind = match self.chance.below(4) {
            1 if self.transport.unwrap_or("tcp") != "tcp" => 0,
            kind => kind,
        };
        match kind {
            0 => {
                let elements: Vec<String> = apart(self.chance, is_v4)
                    .into_iter()
                    .map(|network| format!("{network} : {}", verdict(self.chance)))
                    .collect();
                let elements = all_else(self.chance, elements, |chance| format!("* : {}", verdict(chance)));
                let (ip, end) = (
                    if is_v4 { "ip" } else { "ip6" },
                    if reply { "daddr" } else { "saddr" },
                );
                format!("{ip} {end} vmap {{ {} }}", elements.join(", "))
            }
            1 => format!(
                "tcp {} vmap {{ {} : {}, 1-5 : drop }}",
                if reply { "sport" } else { "dport" },
                self.ports.asked,
                verdict(self.chance)
            ),
            2 => format!(
                "ct state vmap {{ new : {}, established : accept, invalid : drop }}",
                verdict(self.chance)
            ),
            _ => {
                let elements = vec![
                    format!("eth0 : {}", verdict(self.chance)),
                    format!("eth1 : {}", verdict(self.chance)),
                ];
                let elements = all_else(self.chance, elements, |chance| format!("* : {}", verdict(chance)));
                format!("iifname vmap {{ {} }}", elements.join(", "))
            }
        }
    }

    /// Another source for what goes on to the inner network.
    fn source_rule(&mut self) -> String {
        (self.family, self.transport, self.compared) = (None, None, false);
        let mut words = Vec::new();
        if self.chance.one_in(2) {
            words.push(self.matching("any"));
        }
        words.push(match self.chance.below(6) {
            0 | 1 => "oifname docker0 masquerade".into(),
            2 => "masquerade".into(),
            3 if self.v4 && self.family != Some(false) => "snat ip to 203.0.119.1".into(),
            4 => "accept".into(),
            _ => "oifname docker0 drop".into(),
        });
        words.join(" ")
    }

    fn nat_rule(&mut self) -> String {
        let Ports { asked, other } = self.ports;
        (self.family, self.transport, self.compared) = (None, None, false);
        let mut words = Vec::new();
        if self.chance.one_in(2) {
            words.push(self.matching("prerouting"));
        }
        let transport = self.transport.unwrap_or_else(|| *self.chance.of(&["tcp", "udp"]));
        words.push(format!("{transport} dport {asked}"));
        let (may_v4, may_v6) = (
            self.v4 && self.family != Some(false),
            self.v6 && self.family != Some(true),
        );
        words.push(match self.chance.below(8) {
            0 | 1 => format!("redirect to :{other}"),
            2 => format!("redirect to :{asked}"),
            3 if may_v4 => format!("dnat ip to 203.0.119.2:{other}"),
            4 if may_v4 => "dnat ip to 203.0.111.1".into(),
            5 if may_v6 => format!("dnat ip6 to [fd09::2]:{other}"),
            3 if may_v6 => "dnat ip6 to fd09::2".into(),
            6 => "accept".into(),
            7 if may_v4 && self.chance.one_in(2) => {
                let elements = apart(self.chance, true);
                let elements = elements.iter().map(|network| format!("{network} : 203.0.119.2"));
                let elements = all_else(self.chance, elements.collect(), |_| "* : 203.0.111.1".into());
                format!("dnat ip to ip saddr map {{ {} }}", elements.join(", "))
            }
            7 if may_v4 => {
                format!("dnat ip to {transport} dport map {{ {asked} : 203.0.119.2, {other} : 203.0.110.1 }}")
            }
            _ => "drop".into(),
        });
        words.join(" ")
    }
}

fn saves(chance: &mut Chance, ports: Ports, v6: bool, legacy: bool) -> Vec<Save> {
    let mut saves = Vec::new();
    for (table, hooks) in [
        ("raw", &["PREROUTING", "OUTPUT"][..]),
        (
            "mangle",
            &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
        ),
        ("nat", &["PREROUTING", "POSTROUTING"]),
        ("filter", &["INPUT", "FORWARD", "OUTPUT"]),
    ] {
        if !chance.one_in(if table == "filter" { 2 } else { 4 }) {
            continue;
        }
        let users = chance.below(3);
        let mut chains: Vec<String> = hooks
            .iter()
            .map(|hook| {
                let policy = if table != "nat" && chance.one_in(6) {
                    "DROP"
                } else {
                    "ACCEPT"
                };
                format!(":{hook} {policy} [0:0]")
            })
            .collect();
        chains.extend((0..users).map(|user| format!(":U{user} - [0:0]")));
        let mut rules = Vec::new();
        for user in 0..users {
            for _ in 0..chance.below(4) {
                rules.push(format!(
                    "-A U{user} {}",
                    save_rule(chance, ports, v6, table, "ANY", user)
                ));
            }
        }
        for _ in 0..1 + chance.below(6) {
            let hook = *chance.of(hooks);
            rules.push(format!(
                "-A {hook} {}",
                save_rule(chance, ports, v6, table, hook, users)
            ));
        }
        saves.push(Save {
            v6,
            legacy,
            table,
            chains,
            rules,
        });
    }
    saves
}

fn save_rule(chance: &mut Chance, ports: Ports, v6: bool, table: &str, hook: &str, users: u64) -> String {
    let Ports { asked, other } = ports;
    let reply = matches!(hook, "OUTPUT" | "POSTROUTING") && table != "nat";
    let (source, near) = if reply { ("-d", "-s") } else { ("-s", "-d") };
    let (far_port, near_port) = if reply {
        ("--dport", "--sport")
    } else {
        ("--sport", "--dport")
    };
    let mut words = Vec::new();
    let protocol = *chance.of(&["", "-p tcp", "-p tcp", "-p udp"]);
    words.push(protocol.to_owned());
    for _ in 0..*chance.of(&[0, 1, 1, 1, 2]) {
        let not = if chance.one_in(4) { "! " } else { "" };
        words.push(match chance.below(16) {
            0..=2 => {
                let address = loop {
                    let address = if v6 { self::v6(chance) } else { v4(chance) };
                    if !address.contains('-') {
                        break address;
                    }
                };
                if words.iter().any(|word| word.contains(source)) {
                    continue;
                }
                format!("{not}{source} {address}")
            }
            3 | 4 | 15 if words.iter().any(|word| word.contains("port")) => continue,
            3 if !protocol.is_empty() => format!("{not}{near_port} {asked}"),
            4 if !protocol.is_empty() => format!("-m multiport {not}{near_port}s {asked},100:200"),
            5 => format!(
                "-m conntrack {not}--ctstate {}",
                chance.of(&["NEW", "ESTABLISHED,RELATED", "INVALID", "DNAT", "UNTRACKED,NEW"])
            ),
            6 => format!("-m conntrack --ctdir {}", chance.of(&["ORIGINAL", "REPLY"])),
            7 if !protocol.is_empty() => {
                format!("-m conntrack --ctorigdstport {}", chance.of(&[asked, other]))
            }
            8 => format!("-m state {not}--state {}", chance.of(&["NEW", "ESTABLISHED"])),
            9 => format!("-m mark {not}--mark {}", chance.of(&["1", "0x1/0x1", "2/3"])),
            10 => format!("-m addrtype {not}--dst-type LOCAL"),
            11 => format!("-m comment --comment \"no -j \\\"DROP\\\"{}\"", chance.below(9)),
            12 if protocol == "-p tcp" => format!("{not}--tcp-flags SYN,ACK SYN"),
            13 if matches!(hook, "PREROUTING" | "INPUT" | "FORWARD")
                && !words.iter().any(|word| word.contains("-i ")) =>
            {
                format!("{not}-i {}", chance.of(&["eth0", "eth1", "eth+", "docker0"]))
            }
            14 if !v6 => format!(
                "-m iprange {not}--{}-range 10.0.0.5-10.1.2.3",
                if reply { "dst" } else { "src" }
            ),
            15 if !protocol.is_empty() => format!("{not}{far_port} 1:39999"),
            _ if !words.iter().any(|word| word.contains(near)) && !v6 => format!("{not}{near} 203.0.110.1"),
            _ => continue,
        });
    }
    // One option may stand only once.
    let target = match (table, chance.below(10)) {
        ("raw", 0) => "-j CT --notrack".into(),
        ("mangle", 0) => "-j MARK --set-xmark 0x1/0x3".into(),
        ("mangle", 1) => "-j MARK --set-mark 2".into(),
        ("mangle", 2) => "-j CONNMARK --save-mark".into(),
        ("mangle", 3) => "-j CONNMARK --restore-mark".into(),
        ("nat", 0..=2) if hook == "PREROUTING" && !protocol.is_empty() => {
            format!("-j REDIRECT --to-ports {other}")
        }
        ("nat", 3..=5) if hook == "PREROUTING" && !protocol.is_empty() => match v6 {
            false => format!("-j DNAT --to-destination 203.0.119.2:{other}"),
            true => format!("-j DNAT --to-destination [fd09::2]:{other}"),
        },
        ("nat", 0..=2) if hook == "POSTROUTING" => "-j MASQUERADE".into(),
        ("nat", 0..=6) => "-j ACCEPT".into(),
        ("filter", 0) => "-j REJECT".into(),
        ("filter", 1) => "-m limit --limit 1000/s -j LOG".into(),
        (_, 2 | 3) if users > 0 => format!("-j U{}", chance.below(users)),
        (_, 4) if users > 0 => format!("-g U{}", chance.below(users)),
        ("nat", _) => "-j RETURN".into(),
        (_, 5 | 6) => "-j ACCEPT".into(),
        (_, 7) => "-j RETURN".into(),
        _ => "-j DROP".into(),
    };
    words.push(target);
    words.retain(|word| !word.is_empty());
    words.join(" ")
}
