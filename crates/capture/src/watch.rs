//! The engine: frames in, findings out. It reads no clock; the time is that of the frames.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use portcullis_knowledge::{Knowledge, profinet};
use portcullis_model::{MacAddress, Port, ServiceName, Transport};

use crate::{
    Found, Link,
    conversation::{Conversation, Endpoint, Shown, Stage},
    conversations::{Conversations, Key},
    findings::Findings,
    moxa,
    packet::{ACK, Between, Content, Data, Nothing, RST, SYN, Segment, Sender, read},
    stations::Stations,
    turns::Turns,
};

/// What a watch holds at most. With the defaults that is less than 64 MiB, whatever is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Conversations that are followed at a time.
    pub conversations: usize,
    /// Pairs of a client and a port that are told in the end.
    pub pairs: usize,
    /// Bytes of conversations that are kept while they go on, and again of those that have ended.
    pub bytes: usize,
    /// Hardware addresses.
    pub stations: usize,
    /// Questions to a group that an answer is awaited for.
    pub calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            conversations: 65_536,
            pairs: 65_536,
            bytes: 12 << 20,
            stations: 16_384,
            calls: 4096,
        }
    }
}

/// An answer to a question that went to a group is awaited so long, in nanoseconds.
const CALL: u64 = 30_000_000_000;

/// What was counted while watching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) nothing: BTreeMap<Nothing, u64>,
    pub(crate) conversations: u64,
    /// That had to make room while more was expected of them.
    pub(crate) early: u64,
    /// TCP that was up before, and its ends not told apart.
    pub(crate) mid_stream: u64,
    /// UDP exchanges that may have been seen the wrong way round.
    pub(crate) turned_round: u64,
    /// Questions to a group beyond the bound.
    pub(crate) calls_left_out: u64,
    pub(crate) bytes_left_out: u64,
}

/// A question to a group: who asked, from which port, to which.
type Call = (IpAddr, u16, u16);

/// Everything that is remembered while frames come.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    pub(crate) counts: Counts,
    conversations: Conversations,
    pub(crate) findings: Findings,
    pub(crate) stations: Stations,
    calls: HashMap<Call, (u64, Turns)>,
    /// Ports where a known service is met, or where the site moved one.
    usual: Vec<Port>,
    /// Hosts that sent Auto IP Report, with what it says as far as it is read, and the time.
    pub(crate) reports: BTreeMap<IpAddr, (Option<moxa::Report>, u64)>,
    /// Stations of PROFINET that said who they are, and when.
    pub(crate) profinet: BTreeMap<MacAddress, (profinet::Station, u64)>,
    /// Bytes that running conversations keep.
    kept: usize,
    pub(crate) first_at: Option<u64>,
    pub(crate) last_at: u64,
}

impl Watch {
    /// Begins to watch.
    pub fn new(limits: Limits, knowledge: &Knowledge, moved: &[(ServiceName, Port)]) -> Self {
        let names = knowledge.names();
        let services = names.iter().filter_map(|name| knowledge.service(name));
        let mut usual: Vec<Port> = services
            .flat_map(|service| service.ports.iter().copied())
            .chain(moved.iter().map(|(_, port)| *port))
            .collect();
        usual.sort();
        usual.dedup();
        Self {
            limits,
            counts: Counts::default(),
            conversations: Conversations::new(limits.conversations),
            findings: Findings::new(limits),
            stations: Stations::new(limits.stations),
            calls: HashMap::new(),
            usual,
            reports: BTreeMap::new(),
            profinet: BTreeMap::new(),
            kept: 0,
            first_at: None,
            last_at: 0,
        }
    }

    /// Takes a frame: what it begins with, its bytes, and when it was captured, in nanoseconds since 1970.
    pub fn frame(&mut self, link: Link, bytes: &[u8], at: u64) {
        self.tagged(link, bytes, at, None);
    }

    /// Takes a frame whose VLAN tag was taken off before, as Linux does on a running interface.
    pub fn tagged(&mut self, link: Link, bytes: &[u8], at: u64, vlan: Option<u16>) {
        self.counts.frames += 1;
        self.counts.bytes += bytes.len() as u64;
        self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
        self.last_at = self.last_at.max(at);
        match read(link, bytes, vlan) {
            Content::Tcp(between, segment) => self.segment(&between, &segment, at),
            Content::Udp(between, data) => self.datagram(&between, data, at),
            Content::Arp(sender, address) => self.stations.add(&sender, address, at),
            Content::Profinet(sender, bytes) => self.introduced(&sender, bytes, at),
            Content::Nothing(nothing) => *self.counts.nothing.entry(nothing).or_default() += 1,
        }
    }

    /// How many frames were taken.
    pub fn frames(&self) -> u64 {
        self.counts.frames
    }

    /// How many bytes they had.
    pub fn bytes(&self) -> u64 {
        self.counts.bytes
    }

    /// Ends: what still goes on counts as it is now.
    pub fn end(mut self) -> Found {
        let limits = self.limits;
        let conversations = std::mem::replace(&mut self.conversations, Conversations::new(1));
        for mut conversation in conversations.into_all() {
            self.tell(&mut conversation);
        }
        self.kept = 0;
        Found::new(self, limits)
    }

    /// A station of PROFINET says who it is; everything else of that protocol passes by.
    fn introduced(&mut self, sender: &Sender, bytes: &[u8], at: u64) {
        let Some((station, mac)) = profinet::station(bytes).zip(sender.mac) else {
            *self.counts.nothing.entry(Nothing::NotIp).or_default() += 1;
            return;
        };
        if let Some(address) = station.address {
            self.stations.add(sender, address.into(), at);
        }
        if self.profinet.len() < self.limits.calls || self.profinet.contains_key(&mac) {
            self.profinet.insert(mac, (station, at));
        }
    }

    fn segment(&mut self, between: &Between, segment: &Segment<'_>, at: u64) {
        let key = Key::of(between.from, between.to, Transport::Tcp);
        let only_syn = segment.flags & (SYN | ACK | RST) == SYN;
        let Some(place) = self.conversations.place(&key) else {
            return self.first_segment(key, between, segment, at);
        };
        let Some(conversation) = self.conversations.at(place) else {
            return;
        };
        let of_client = conversation.is_of_client(between);
        if only_syn && (!of_client || conversation.is_begun_anew(segment)) {
            let stage = Stage::Asked(segment.sequence);
            let new = Conversation::new(between.from, between.to, Transport::Tcp, stage, at);
            let mut old = std::mem::replace(conversation, new);
            self.tell(&mut old);
            self.counts.conversations += 1;
            self.keep_bytes(place);
            self.stations.add(&between.sender, between.from.0, at);
            return self.put(place, |conversation| conversation.segment(true, segment), at);
        }
        if !of_client && matches!(conversation.stage, Stage::Asked(_)) {
            self.stations.add(&between.sender, between.from.0, at);
        }
        self.put(place, |conversation| conversation.segment(of_client, segment), at);
    }

    fn first_segment(&mut self, key: Key, between: &Between, segment: &Segment<'_>, at: u64) {
        let (client, server, stage) = match segment.flags & (SYN | ACK | RST) {
            SYN => (between.from, between.to, Stage::Asked(segment.sequence)),
            flags if flags == SYN | ACK => (between.to, between.from, Stage::Open(Shown::HalfHandshake)),
            flags if flags & (SYN | RST) != 0 => return,
            _ => match self.served(between.from, between.to) {
                Some((client, server)) => (client, server, Stage::MidStream { placed: true }),
                None => (between.from, between.to, Stage::MidStream { placed: false }),
            },
        };
        let mut conversation = Conversation::new(client, server, Transport::Tcp, stage, at);
        if stage == Stage::Open(Shown::HalfHandshake) {
            conversation.half_begun(segment);
        }
        self.stations.add(&between.sender, between.from.0, at);
        self.follow(key, conversation, stage != Stage::MidStream { placed: false });
        if let Some(place) = self.conversations.place(&key) {
            let of_client = between.from == client;
            self.put(place, |conversation| conversation.segment(of_client, segment), at);
        }
    }

    /// Client and server, when exactly one of the ports is one of a known service and the other is one that systems
    /// choose for themselves.
    fn served(&self, one: Endpoint, other: Endpoint) -> Option<(Endpoint, Endpoint)> {
        let usual = |end: Endpoint| self.usual.binary_search(&Port::tcp(end.1)).is_ok();
        match (usual(one), usual(other)) {
            (false, true) if one.1 >= 1024 => Some((one, other)),
            (true, false) if other.1 >= 1024 => Some((other, one)),
            _ => None,
        }
    }

    fn datagram(&mut self, between: &Between, data: Data<'_>, at: u64) {
        if moxa::is_address_report(data.bytes)
            && (self.reports.len() < self.limits.calls || self.reports.contains_key(&between.from.0))
        {
            self.reports
                .insert(between.from.0, (moxa::report(data.bytes), at));
        }
        if between.to_group {
            self.stations.add(&between.sender, between.from.0, at);
            return self.call(between, data, at);
        }
        let data = kept_of(between, data);
        let key = Key::of(between.from, between.to, Transport::Udp);
        let Some(place) = self.conversations.place(&key) else {
            return self.first_datagram(key, between, data, at);
        };
        let Some(conversation) = self.conversations.at(place) else {
            return;
        };
        let of_client = conversation.is_of_client(between);
        if !of_client && conversation.stage == Stage::Waiting {
            self.stations.add(&between.sender, between.from.0, at);
        }
        self.put(place, |conversation| conversation.datagram(of_client, data), at);
    }

    /// A question to a group: its answers come from elsewhere than it went to.
    fn call(&mut self, between: &Between, data: Data<'_>, at: u64) {
        let call = (between.from.0, between.from.1, between.to.1);
        if self.calls.len() >= self.limits.calls && !self.calls.contains_key(&call) {
            self.calls
                .retain(|_, (asked_at, _)| at.saturating_sub(*asked_at) < CALL);
            if self.calls.len() >= self.limits.calls {
                self.counts.calls_left_out += 1;
                return;
            }
        }
        let mut turns = Turns::default();
        turns.asked(data);
        self.calls.insert(call, (at, turns));
    }

    fn first_datagram(&mut self, key: Key, between: &Between, data: Data<'_>, at: u64) {
        let (from, to) = (between.from, between.to);
        self.stations.add(&between.sender, from.0, at);
        let call = self
            .calls
            .get(&(to.0, to.1, from.1))
            .filter(|(asked_at, _)| at.saturating_sub(*asked_at) < CALL);
        let (client, server, stage) = match call {
            Some(_) => (to, from, Stage::Open(Shown::AnsweredGroup)),
            None if from.1 == moxa::DSCI && moxa::is_dsci_reply(data.bytes) => {
                (to, from, Stage::Open(Shown::AnswerAlone))
            }
            None => (from, to, Stage::Waiting),
        };
        let question = call.map(|(_, turns)| turns.clone());
        let conversation = Conversation::new(client, server, Transport::Udp, stage, at);
        self.follow(key, conversation, true);
        let Some(place) = self.conversations.place(&key) else {
            return;
        };
        if let (Some(question), Some(conversation)) = (question, self.conversations.at(place))
            && let Some(turns) = &mut conversation.turns
        {
            self.kept += question.size();
            **turns = question;
        }
        self.put(
            place,
            |conversation| conversation.datagram(from == client, data),
            at,
        );
    }

    /// Follows one more conversation.
    fn follow(&mut self, key: Key, conversation: Conversation, with_bytes: bool) {
        self.counts.conversations += 1;
        if let Some(mut displaced) = self.conversations.insert(key, conversation) {
            self.counts.early += u64::from(displaced.early);
            self.tell(&mut displaced.conversation);
        }
        if with_bytes && let Some(place) = self.conversations.place(&key) {
            self.keep_bytes(place);
        }
    }

    /// Lets a conversation keep its first bytes, if they could tell anything and there is room for them.
    fn keep_bytes(&mut self, place: usize) {
        let full = self.kept >= self.limits.bytes;
        let Some(conversation) = self.conversations.at(place) else {
            return;
        };
        if !self.findings.wants(conversation.server.0, conversation.port()) {
            return;
        }
        if full {
            self.counts.bytes_left_out += 1;
            return;
        }
        conversation.turns = Some(Box::default());
    }

    /// Puts something to a conversation, and tells it when it is over by that.
    fn put(&mut self, place: usize, something: impl FnOnce(&mut Conversation) -> usize, at: u64) {
        let Some(conversation) = self.conversations.at(place) else {
            return;
        };
        if conversation.over {
            return;
        }
        conversation.last_at = at.max(conversation.last_at);
        self.kept += something(conversation);
        if !conversation.over {
            return;
        }
        // It keeps its place, so that late packets of it begin no other, and makes way before all others.
        let mut place_holder = Conversation::new(
            conversation.client,
            conversation.server,
            conversation.transport,
            Stage::Over,
            at,
        );
        place_holder.over = true;
        let mut ended = std::mem::replace(conversation, place_holder);
        self.tell(&mut ended);
    }

    /// Hands over what a conversation has shown.
    fn tell(&mut self, conversation: &mut Conversation) {
        let size = conversation.turns.as_ref().map_or(0, |turns| turns.size());
        self.kept = self.kept.saturating_sub(size);
        // What has ended was told when it ended; its place holds nothing.
        if conversation.stage == Stage::Over {
            return;
        }
        match conversation.stage {
            Stage::MidStream { .. } => return self.tell_mid_stream(conversation),
            Stage::Open(Shown::Answered) if self.may_be_turned_round(conversation) => {
                self.counts.turned_round += 1;
                return;
            }
            _ => {}
        }
        self.findings.add(conversation);
    }

    fn tell_mid_stream(&mut self, conversation: &mut Conversation) {
        let spoke = conversation
            .turns
            .as_ref()
            .is_some_and(|turns| turns.has_answer());
        if conversation.shown().is_some()
            && (spoke || !self.findings.wants(conversation.server.0, conversation.port()))
        {
            self.findings.add(conversation);
        } else {
            self.counts.mid_stream += 1;
        }
    }

    /// Whether the one who was seen to ask has the port of a service, and the one who answered has none: the exchange
    /// began before the capture did.
    fn may_be_turned_round(&self, conversation: &Conversation) -> bool {
        let serves = |number: u16| number < 1024 || self.usual.binary_search(&Port::udp(number)).is_ok();
        serves(conversation.client.1) && !serves(conversation.server.1)
    }
}

/// What may be kept of a datagram: nothing of SNMP's communities beyond what the judge reads, and of DSCI only what holds no
/// secret.
fn kept_of<'b>(between: &Between, data: Data<'b>) -> Data<'b> {
    if between.from.1 == moxa::DSCI && moxa::is_dsci_reply(data.bytes) && !moxa::may_keep(data.bytes) {
        return Data {
            bytes: &[],
            sent: data.sent,
        };
    }
    data
}
