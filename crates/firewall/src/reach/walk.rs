//! Sends all sources through a chain at once.
//!
//! A part of the sources of which it is not known whether a rule applies is followed both ways. Whoever arrives in this way
//! at both ends is whom nothing can be concluded for; whoever arrives at one of them only does so in any case.

use super::{
    applied::Applied,
    flow::Flow,
    link::{LinkedChain, LinkedTable, special},
    packet::{Elements, Found, Sight, State, Tracking},
    place::{CauseId, Tag},
    places::Here,
    ranges::Ranges,
    ruleset::{MarkSource, MarkValue, NewAddress, NewPort, Rule, Step, Translation, Value, Verdict},
    space::Region,
};

/// So many chains may be entered one from the other; the kernel has its own limit (16 for nftables).
const DEEPEST: usize = 64;

/// So many steps are taken; a ruleset that needs more was made to need them.
const LONGEST: u64 = 2_000_000;

/// Adds to a flow.
pub(super) fn join(flow: &mut Flow, state: State, region: Region) {
    flow.join(state, region);
}

/// A way through the rules.
pub(super) struct Walk {
    pub(super) sight: Sight,
    /// Whether what accepts is remembered: at the hooks that decide.
    pub(super) decides: bool,
    /// Who is stopped for good.
    pub(super) blocked: Region,
    /// Who perhaps gets through from a place after which nothing is known any more.
    pub(super) perhaps: Region,
    pub(super) steps: u64,
    /// The rules that applied to anybody.
    pub(super) applied: Applied,
}

/// What is the same for all rules of a base chain.
struct Frame<'a, 'b> {
    table: &'a LinkedTable<'a>,
    accepted: &'b mut Flow,
    depth: usize,
}

impl Walk {
    /// Sends a flow through a base chain and gives who leaves it.
    pub(super) fn base_chain<'a>(
        &mut self,
        table: &'a LinkedTable<'a>,
        chain: &LinkedChain<'a>,
        flow: Flow,
    ) -> Flow {
        let mut accepted = Flow::new();
        let mut frame = Frame {
            table,
            accepted: &mut accepted,
            depth: 0,
        };
        let left = self.chain(&mut frame, chain, flow);
        let drops = chain.chain.base.as_ref().is_some_and(|base| base.drops);
        for (state, region) in left {
            if drops {
                self.block(region, chain.id);
            } else {
                let decides = self.decides;
                let region = region.tagged(|tag| match (decides, tag.decided) {
                    (true, 0) => Tag {
                        decided: chain.id,
                        ..tag
                    },
                    _ => tag,
                });
                join(&mut accepted, state, region);
            }
        }
        accepted
    }

    /// Stops a part for good.
    pub(super) fn block(&mut self, region: Region, by: CauseId) {
        self.blocked
            .absorb(region.tagged(|tag| Tag { decided: by, ..tag }));
    }

    /// Stops a part, perhaps, of which the rest of the way is still to be followed.
    pub(super) fn perhaps_block(&mut self, region: &Region, by: CauseId) {
        self.blocked
            .absorb(region.clone().tagged(|tag| Tag { fork: by, ..tag }));
    }

    /// Nothing is known of a part any more.
    pub(super) fn give_up(&mut self, region: Region, by: CauseId) {
        let region = region.tagged(|tag| Tag { fork: by, ..tag });
        self.perhaps.absorb(region.clone());
        self.blocked.absorb(region);
    }

    /// Who comes out at the end of a chain.
    fn chain<'a>(&mut self, frame: &mut Frame<'a, '_>, chain: &LinkedChain<'a>, flow: Flow) -> Flow {
        let mut flow = flow;
        let mut returned = Flow::new();
        for (rule, id) in chain.chain.rules.iter().zip(chain.id.saturating_add(1)..) {
            if flow.is_empty() {
                break;
            }
            self.steps = self.steps.saturating_add(1);
            if self.steps > LONGEST || frame.depth > DEEPEST {
                self.applied.lose_count();
                for (_, region) in std::mem::take(&mut flow) {
                    self.give_up(region, id);
                }
                break;
            }
            self.rule(frame, rule, id, &mut flow, &mut returned);
        }
        for (state, region) in flow {
            join(&mut returned, state, region);
        }
        returned
    }

    fn rule<'a>(
        &mut self,
        frame: &mut Frame<'a, '_>,
        rule: &'a Rule,
        id: CauseId,
        flow: &mut Flow,
        returned: &mut Flow,
    ) {
        let mut after = Flow::new();
        let mut emptied = false;
        if let Some((state, region)) = flow.only() {
            if let Some((active, steps)) = self.enter(frame.table, rule, id, state, region) {
                self.applied.add(id);
                let active = Flow::of(state.clone(), active);
                emptied = region.is_empty();
                self.steps_of(frame, steps, id, active, &mut after, returned);
            }
        } else {
            for state in flow.states() {
                let Some(region) = flow.get_mut(&state) else {
                    continue;
                };
                if let Some((active, steps)) = self.enter(frame.table, rule, id, &state, region) {
                    self.applied.add(id);
                    emptied |= region.is_empty();
                    self.steps_of(frame, steps, id, Flow::of(state, active), &mut after, returned);
                }
            }
        }
        if emptied {
            flow.drop_empty();
        }
        for (state, region) in after {
            join(flow, state, region);
        }
    }

    /// Takes out of a region who matches all that stands at the beginning of a rule. The rest of the rule is theirs.
    fn enter<'a>(
        &mut self,
        table: &'a LinkedTable<'a>,
        rule: &'a Rule,
        id: CauseId,
        state: &State,
        region: &mut Region,
    ) -> Option<(Region, &'a [Step])> {
        let mut outcomes = Vec::new();
        let mut rest = rule.steps.as_slice();
        while let Some((Step::Match(matching), after)) = rest.split_first() {
            let outcome = self.sight.judge(matching, state, table.sets);
            match outcome.for_all() {
                Some(false) => return None,
                Some(true) => {}
                None => outcomes.push(outcome),
            }
            rest = after;
        }
        if rest.is_empty() {
            return None;
        }
        let highest = self.sight.highest();
        let mut outcomes = outcomes.into_iter();
        let Some(first) = outcomes.next() else {
            return Some((std::mem::take(region), rest));
        };
        let (mut yes, mut maybe) = first.split(region, highest);
        for outcome in outcomes {
            let (still, perhaps) = outcome.split(&mut yes, highest);
            region.absorb(std::mem::replace(&mut yes, still));
            let (mut both, unsure) = outcome.split(&mut maybe, highest);
            both.absorb(unsure);
            both.absorb(perhaps);
            maybe = both;
        }
        yes.absorb(maybe.tagged(|tag| Tag { fork: id, ..tag }));
        (!yes.is_empty()).then_some((yes, rest))
    }

    /// Does the steps of a rule for those who got so far. Who goes on to the next rule comes out in `after`.
    fn steps_of<'a>(
        &mut self,
        frame: &mut Frame<'a, '_>,
        steps: &'a [Step],
        id: CauseId,
        active: Flow,
        after: &mut Flow,
        returned: &mut Flow,
    ) {
        let mut active = active;
        for step in steps {
            let mut next = Flow::new();
            for (state, region) in active {
                match step {
                    Step::Match(matching) => {
                        let mut region = region;
                        let outcome = self.sight.judge(matching, &state, frame.table.sets);
                        let (mut yes, maybe) = outcome.split(&mut region, self.sight.highest());
                        yes.absorb(maybe.tagged(|tag| Tag { fork: id, ..tag }));
                        join(after, state.clone(), region);
                        join(&mut next, state, yes);
                    }
                    Step::Perhaps(_) => {
                        join(after, state.clone(), region.clone());
                        join(&mut next, state, region.tagged(|tag| Tag { fork: id, ..tag }));
                    }
                    Step::Verdict(verdict) => {
                        self.verdict(
                            frame,
                            verdict,
                            id,
                            (state, region),
                            (&mut next, &mut *after, &mut *returned),
                        );
                    }
                    Step::VerdictMap { key, map } => {
                        let elements = self.sight.elements(key, &state, map, frame.table.sets);
                        self.verdict_map(
                            frame,
                            elements,
                            id,
                            (state, region),
                            (&mut next, &mut *after, &mut *returned),
                        );
                    }
                    // What goes to several hosts is led nowhere by most translations, and no listing tells by which.
                    Step::Translate(_) if self.sight.group.is_some() => self.give_up(region, id),
                    Step::Translate(translation) => {
                        self.translate(frame, translation, id, state, region, &mut next);
                    }
                    Step::TranslateSource(family)
                        if family.is_some_and(|family| family != self.sight.family) =>
                    {
                        join(&mut next, state, region);
                    }
                    Step::TranslateSource(_) => {
                        let mut state = state;
                        state.source_translated = true;
                        state.hidden = true;
                        state.bound = true;
                        join(frame.accepted, state, region);
                    }
                    Step::Copy(to) if self.sight.is_elsewhere(*to) => join(&mut next, state, region),
                    Step::Opaque(_) | Step::Copy(_) => self.give_up(region, id),
                    Step::SetMark(value) => {
                        let mark = new_mark(*value, &state);
                        join(&mut next, State { mark, ..state }, region);
                    }
                    Step::SetMarkByMap {
                        key,
                        map,
                        of_connection,
                    } => {
                        let elements = self.sight.elements(key, &state, map, frame.table.sets);
                        let marked = marked_by(elements, id, (&state, region), *of_connection, after);
                        for (state, region) in marked {
                            join(&mut next, state, region);
                        }
                    }
                    Step::SetConnectionMark(value) => {
                        let connection_mark = match state.tracking {
                            Tracking::New | Tracking::Established => new_mark(*value, &state),
                            _ => state.connection_mark,
                        };
                        let state = State {
                            connection_mark,
                            ..state
                        };
                        join(&mut next, state, region);
                    }
                    Step::NoTrack => {
                        let mut state = state;
                        if state.tracking == Tracking::NotYet {
                            state.tracking = Tracking::Untracked;
                        }
                        join(&mut next, state, region);
                    }
                }
            }
            active = next;
            if active.is_empty() {
                return;
            }
        }
        for (state, region) in active {
            join(after, state, region);
        }
    }

    /// `ways` are: the next step, the next rule, the end of the chain.
    fn verdict<'a>(
        &mut self,
        frame: &mut Frame<'a, '_>,
        verdict: &Verdict,
        id: CauseId,
        (state, region): (State, Region),
        ways: (&mut Flow, &mut Flow, &mut Flow),
    ) {
        let (next, after, returned) = ways;
        match verdict {
            Verdict::Accept => {
                let decides = self.decides;
                let region = region.tagged(|tag| match decides {
                    true => Tag { decided: id, ..tag },
                    false => tag,
                });
                join(frame.accepted, state, region);
            }
            Verdict::Drop => self.block(region, id),
            Verdict::Continue => join(next, state, region),
            Verdict::Return => join(returned, state, region),
            Verdict::Jump(target) | Verdict::Goto(target) => {
                let Some(chain) = frame.table.chains.get(&**target) else {
                    self.give_up(region, id);
                    return;
                };
                frame.depth = frame.depth.saturating_add(1);
                let left = self.chain(frame, chain, Flow::of(state, region));
                frame.depth = frame.depth.saturating_sub(1);
                let to = if matches!(verdict, Verdict::Jump(_)) {
                    after
                } else {
                    returned
                };
                for (state, region) in left {
                    join(to, state, region);
                }
            }
            Verdict::Opaque(_) => self.give_up(region, id),
        }
    }

    fn verdict_map<'a>(
        &mut self,
        frame: &mut Frame<'a, '_>,
        elements: Elements<'_>,
        id: CauseId,
        (state, region): (State, Region),
        ways: (&mut Flow, &mut Flow, &mut Flow),
    ) {
        let (next, after, returned) = ways;
        let Elements::Known { found, otherwise } = elements else {
            self.give_up(region, id);
            return;
        };
        let mut region = region;
        // All elements with one verdict at once, so that a chain is entered once.
        let mut by_verdict: Vec<(&Verdict, Region)> = Vec::new();
        let mut perhaps = Vec::new();
        for one in &found {
            let Some(verdict) = &one.element.verdict else {
                perhaps.push((None, one));
                continue;
            };
            if !one.certain {
                perhaps.push((Some(verdict), one));
                continue;
            }
            let part = take(&mut region, one);
            match by_verdict.iter_mut().find(|(known, _)| *known == verdict) {
                Some((_, all)) => all.absorb(part),
                None => by_verdict.push((verdict, part)),
            }
        }
        for (verdict, one) in perhaps {
            let part = take(&mut region, one);
            region.absorb(part.clone());
            let part = part.tagged(|tag| Tag { fork: id, ..tag });
            match verdict {
                Some(verdict) => by_verdict.push((verdict, part)),
                None => self.give_up(part, id),
            }
        }
        if let Some(one) = &otherwise {
            // Whoever perhaps has another element is in this part, too.
            let part = std::mem::take(&mut region);
            let part = if one.certain {
                part
            } else {
                region = part.clone();
                part.tagged(|tag| Tag { fork: id, ..tag })
            };
            match &one.element.verdict {
                Some(verdict) => by_verdict.push((verdict, part)),
                None => self.give_up(part, id),
            }
        }
        for (verdict, part) in by_verdict {
            if !part.is_empty() {
                let ways = (&mut *next, &mut *after, &mut *returned);
                self.verdict(frame, verdict, id, (state.clone(), part), ways);
            }
        }
        join(after, state, region);
    }

    fn translate<'a>(
        &mut self,
        frame: &mut Frame<'a, '_>,
        translation: &Translation,
        id: CauseId,
        state: State,
        region: Region,
        next: &mut Flow,
    ) {
        if translation
            .family
            .is_some_and(|family| family != self.sight.family)
        {
            join(next, state, region);
            return;
        }
        let port = match translation.port {
            NewPort::Keep => state.port,
            NewPort::To(port) => port,
            NewPort::Unknown => return self.give_up(region, id),
        };
        match &translation.address {
            NewAddress::Unknown => self.give_up(region, id),
            NewAddress::Keep => self.bind(frame, id, (state.clone(), region), state.address, port),
            NewAddress::To(address) => self.bind(frame, id, (state, region), Some(*address), port),
            NewAddress::Here => {
                // Outside of the chains for it nothing is known of a translation, of this one neither.
                let is_new = state.tracking == Tracking::New;
                match self.sight.here {
                    Here::Nothing if is_new => return self.block(region, special::NO_ADDRESS),
                    Here::Perhaps if is_new => self.perhaps_block(&region, special::ADDRESS),
                    _ => {}
                }
                let here = match self.sight.here {
                    Here::One(address) => Some(address),
                    _ => None,
                };
                self.bind(frame, id, (state, region), here, port);
            }
            NewAddress::Mapped { key, map } => {
                let Elements::Known { found, otherwise } =
                    self.sight.elements(key, &state, map, frame.table.sets)
                else {
                    return self.give_up(region, id);
                };
                let mut region = region;
                for one in found.iter().chain(&otherwise) {
                    let part = take(&mut region, one);
                    if !one.certain {
                        self.give_up(part, id);
                        continue;
                    }
                    let port = match one.element.data.as_slice() {
                        [_] => Some(port),
                        [_, Value::Numbers(port, last)] if port == last => u16::try_from(*port).ok(),
                        _ => None,
                    };
                    match (one.element.data.first(), port) {
                        (Some(Value::Numbers(address, last)), Some(port)) if address == last => {
                            self.bind(frame, id, (state.clone(), part), Some(*address), port);
                        }
                        _ => self.give_up(part, id),
                    }
                }
                // Without an element for the key the rule ends; nothing may follow a translation.
                join(next, state, region);
            }
        }
    }

    /// Gives packets their new destination. The chains of kind nat are over for them.
    fn bind<'a>(
        &mut self,
        frame: &mut Frame<'a, '_>,
        id: CauseId,
        (state, region): (State, Region),
        address: Option<u128>,
        port: u16,
    ) {
        let same = match (state.address, address) {
            (Some(before), Some(now)) => Some(before == now),
            _ => None,
        };
        let translated = match (same, port == state.port) {
            (_, false) | (Some(false), _) => Some(true),
            (Some(true), true) => Some(false),
            (None, true) => None,
        };
        if state.tracking != Tracking::New {
            // A translation outside of the chains for it.
            return self.give_up(region, id);
        }
        let state = State {
            address,
            port,
            new_address: address,
            new_port: port,
            translated,
            translated_by: id,
            bound: true,
            ..state
        };
        join(frame.accepted, state, region);
    }
}

fn take(region: &mut Region, found: &Found<'_>) -> Region {
    let everything = found.ports == (0, u16::MAX.into());
    let ports = if everything {
        Ranges::all_ports()
    } else {
        Ranges::one(found.ports)
    };
    region.take(&Ranges::one(found.addresses), &ports)
}

/// Who gets which mark by a map. Who has none, or perhaps none, goes on to the next rule: `after`.
fn marked_by(
    elements: Elements<'_>,
    id: CauseId,
    (state, region): (&State, Region),
    of_connection: bool,
    after: &mut Flow,
) -> Flow {
    let mut marked = Flow::new();
    let mut region = region;
    let mut give = |mark: Option<u32>, region: Region| {
        let mut state = state.clone();
        if !of_connection {
            state.mark = mark;
        } else if matches!(state.tracking, Tracking::New | Tracking::Established) {
            state.connection_mark = mark;
        }
        join(&mut marked, state, region);
    };
    let fork = |tag| Tag { fork: id, ..tag };
    let Elements::Known { found, otherwise } = elements else {
        give(None, region.clone().tagged(fork));
        join(after, state.clone(), region);
        return marked;
    };
    for one in found.iter().chain(&otherwise) {
        let part = take(&mut region, one);
        let mark = match one.element.data.as_slice() {
            [Value::Numbers(mark, last)] if mark == last => u32::try_from(*mark).ok(),
            _ => None,
        };
        if one.certain {
            give(mark, part);
        } else {
            // Another element may be theirs instead.
            give(None, part.clone().tagged(fork));
            region.absorb(part);
        }
    }
    join(after, state.clone(), region);
    marked
}

fn new_mark(value: MarkValue, state: &State) -> Option<u32> {
    let from = match value.from {
        MarkSource::Zero => Some(0),
        MarkSource::Mark => state.mark,
        MarkSource::ConnectionMark if !matches!(state.tracking, Tracking::New | Tracking::Established) => {
            None
        }
        MarkSource::ConnectionMark => state.connection_mark,
        MarkSource::Unknown => None,
    };
    // Where no bit is kept it does not matter what there was.
    match (from, value.and) {
        (_, 0) if value.from != MarkSource::Unknown => Some(value.xor),
        (from, and) => from.map(|from| (from & and) ^ value.xor),
    }
}
