//! One simulated world: the real core, the simulated network, the clients, and the turn.
//!
//! A step is: time passes, clients act, the relay has its turn, everything is checked. Time moves only when the
//! relay says that it has nothing to do; else the next turn follows at once.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::{
    book::Book,
    client::{Client, End, Habits, Kind, Leave, Wish},
    core::{self, Core},
    liar,
    net::{Edge, Net, Phase, SimLink, Socket},
    permit,
    rate::Tally,
    rng::Rng,
    road::Road,
    swarm::Plan,
    trace::Note,
    verdict::{Case, Fortune},
};
use crate::{id::PeerId, limits::Limits};

/// Turns in which a busy relay may do nothing at all, and as many more as it has peers.
const IDLE_TURNS_MOST: usize = 50;

/// Everything there is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) core: Core,
    pub(super) net: Net,
    pub(super) clients: Vec<Client>,
    pub(super) fortunes: Vec<Fortune>,
    /// Turns' ends at which a peer was known by what a proxy had said.
    pub(super) named: u64,
    /// How each client comes.
    pub(super) roads: Vec<Road>,
    pub(super) book: Book,
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    base: Instant,
    pub(super) now: Duration,
    /// Connections that wait to be accepted.
    arrivals: VecDeque<usize>,
    /// Clients that are still to come, the first last.
    pub(super) to_come: Vec<(Duration, Kind)>,
    /// Reborn churners that are left.
    pub(super) rebirths: usize,
    /// Clients that are not over.
    pub(super) living: Vec<usize>,
    /// Somebody could have acted and did not.
    restless: bool,
    idle_turns: usize,
    pub(super) turns: u64,
    pub(super) jumps: u64,
    /// Whether the core audits itself after every turn, or only after every so many, or (0) never.
    pub(super) audit_every: u64,
    drained: bool,
    /// Those that hold now; `plan` has the most lenient of all that held.
    pub(super) limits: Limits,
    /// The same of each channel, if there are rules.
    pub(super) ruled: Vec<Limits>,
    /// What was published, held against the rates.
    pub(super) tally: Tally,
    pub(super) reloads: u64,
    /// Channels that had too much on their way at the end of the turn before.
    pub(super) full: Vec<Box<str>>,
}

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let start = base();
        let base = start + plan.age;
        let net = Net::new(plan.faults.clone(), plan.limits.turn.clone(), rng.fork());
        let mut core = Core::new(plan.limits.clone(), rng.next(), start);
        core.guard(permit::gate());
        Self {
            core: aged(core, base),
            net,
            clients: Vec::new(),
            fortunes: Vec::new(),
            named: 0,
            roads: Vec::new(),
            book: Book::new(&plan),
            limits: plan.limits.clone(),
            ruled: plan.ruled.clone(),
            tally: Tally::default(),
            reloads: 0,
            plan,
            rng,
            base,
            now: Duration::ZERO,
            arrivals: VecDeque::new(),
            to_come: Vec::new(),
            rebirths: 20,
            living: Vec::new(),
            restless: false,
            idle_turns: 0,
            turns: 0,
            jumps: 0,
            audit_every: 1,
            drained: false,
            full: Vec::new(),
        }
    }

    /// A client connects; its socket takes `down` bytes (`usize::MAX`: always all).
    pub(super) fn join(&mut self, kind: Kind, channel: usize, habits: Habits, down: usize) -> usize {
        let up = self.plan.up_most;
        let number = self.net.connect(up, down);
        let client = Client::new(number, kind, channel, habits, self.rng.fork());
        let road = match self.plan.addresses {
            0 => Road::silent(),
            addresses => Road::draw(addresses, &mut self.rng),
        };
        self.clients.push(client);
        self.roads.push(road);
        self.fortunes.push(Fortune::default());
        self.book.enter();
        self.arrivals.push_back(number);
        self.living.push(number);
        self.equip(number);
        let client = &mut self.clients[number];
        let request = permit::stamp(client.paper.as_ref(), std::mem::take(&mut client.out));
        client.ask(road.carry(&request), true);
        number
    }

    /// What holds on a channel now.
    pub(super) fn here(&self, channel: usize) -> &Limits {
        self.ruled.get(channel).unwrap_or(&self.limits)
    }

    pub(super) fn step(&mut self) -> Result<(), String> {
        self.pass_time();
        while self.to_come.last().is_some_and(|(at, _)| *at <= self.now) {
            self.to_come.pop().into_iter().for_each(|(_, kind)| self.bear(kind));
        }
        self.act()?;
        self.reload();
        self.turn();
        self.check()
    }

    /// Whether something happens now without time passing.
    pub(super) fn is_astir(&self) -> bool {
        self.core.is_busy() || self.net.has_pending() || !self.arrivals.is_empty() || self.restless
    }

    fn pass_time(&mut self) {
        if self.is_astir() {
            self.net.after_jump = false;
            self.now += Duration::from_nanos(self.rng.below(self.plan.turn_most.as_nanos() as usize) as u64);
            return;
        }
        let wishes = self.living.iter().map(|number| self.clients[*number].wish(&self.net));
        let coming = self.to_come.last().map_or(Wish::Never, |(at, _)| Wish::At(*at));
        let next = match wishes.min().unwrap_or(Wish::Never).min(coming).min(self.deadline()) {
            Wish::At(at) => at,
            Wish::Never => self.now + Duration::from_secs(1),
        };
        self.now = next.max(self.now + Duration::from_micros(1));
        self.net.after_jump = self.rng.chance(self.net.faults.jump);
        if self.net.after_jump {
            self.now += Duration::from_millis(self.rng.below(40_000) as u64);
            self.jumps += 1;
        }
    }

    pub(super) fn clock(&self) -> Instant {
        self.base + self.now
    }

    fn deadline(&self) -> Wish {
        self.core.next_deadline().map_or(Wish::Never, |at| Wish::At(at.saturating_duration_since(self.base)))
    }

    /// Somebody new connects, as the plan says.
    fn bear(&mut self, kind: Kind) {
        let channel = self.rng.below(self.plan.channels);
        let mut habits = self.plan.habits(kind, channel, &mut self.rng);
        let down = self.rng.between(self.plan.down_most / 4 + 1, self.plan.down_most);
        let roomy = habits.is_prompt() && self.rng.chance(self.plan.roomy);
        if self.net.faults.reset == 0 && self.rng.chance(500) && kind == Kind::Honest {
            habits.leave = Leave::Stay;
        }
        let number = self.join(kind, channel, habits, if roomy { usize::MAX } else { down });
        let client = &mut self.clients[number];
        match kind {
            Kind::BadAsker => {
                let mut table = liar::bad_requests(&super::client::path(channel));
                if !self.plan.ruled.is_empty() {
                    table.push(("no rule", liar::request("/nobody/at/all"), &[404]));
                }
                let (name, request, statuses) = table.swap_remove(self.rng.below(table.len()));
                client.ask(self.roads[number].carry(request.as_bytes()), false);
                client.breach = Some((name, statuses));
            }
            Kind::Mute => client.ask(Vec::new(), false),
            Kind::Poster => self.make_poster(number),
            _ => {}
        }
    }

    /// Everybody who has something to do does it, or is lazy.
    fn act(&mut self) -> Result<(), String> {
        self.restless = false;
        self.strike();
        for number in std::mem::take(&mut self.living) {
            let client = &mut self.clients[number];
            if client.wish(&self.net) <= Wish::At(self.now) {
                if self.rng.chance(self.plan.laziness) && !self.net.after_jump {
                    self.restless = true;
                } else {
                    let judge = |what| format!("client {number}: {what}");
                    client.act(self.now, &mut self.net, self.plan.at(client.channel)).map_err(judge)?;
                    self.read_inbox(number)?;
                }
            }
            if self.clients[number].is_over() { self.mourn(number)? } else { self.living.push(number) }
        }
        Ok(())
    }

    /// Now and then the network resets a connection, or the outside loses one.
    fn strike(&mut self) {
        if self.living.is_empty() || !self.rng.chance(self.net.faults.reset) {
            return;
        }
        let number = self.living[self.rng.below(self.living.len())];
        self.fortunes[number].cut = true;
        self.net.trace.note(Note::Client(number, "is cut off"));
        self.net.reset(number);
        if let Some(id) = self.net.sockets[number].name
            && self.rng.chance(300)
        {
            self.core.lose(id, self.clock());
        }
    }

    fn read_inbox(&mut self, number: usize) -> Result<(), String> {
        for message in std::mem::take(&mut self.clients[number].inbox) {
            self.book.receive(number, &message, &self.clients)?;
        }
        Ok(())
    }

    /// Judges how a client ended; a churner comes again.
    fn mourn(&mut self, number: usize) -> Result<(), String> {
        self.case(number).judge()?;
        let is_churner = self.clients[number].kind == Kind::Churner;
        if is_churner && self.rebirths > 0 {
            self.rebirths -= 1;
            self.to_come.push((self.now, Kind::Churner));
        }
        Ok(())
    }

    pub(super) fn case(&self, number: usize) -> Case<'_> {
        Case {
            client: &self.clients[number],
            socket: &self.net.sockets[number],
            is_limited: self.roads[number].client().is_some() && self.plan.limits.limits_addresses(),
            fortune: &self.fortunes[number],
            limits: self.plan.at(self.clients[number].channel),
            rests_until: self.rests_until(number),
            now: self.now,
            jumped: self.jumps > 0,
        }
    }

    /// One turn of the server, phase by phase.
    fn turn(&mut self) {
        let now = self.clock();
        self.turns += 1;
        self.book.begin_turn();
        self.net.begin(self.now);
        self.core.tell_time(permit::TODAY + self.now);
        let events = self.net.poll();
        let accepts = self.arrivals.len().min(self.plan.limits.turn.accepts);
        let mut left = accepts;
        for (at, (id, edge)) in events.iter().enumerate() {
            // An accept may come before, between and after the other events of a batch.
            if left > 0 && self.rng.below(events.len() - at + 1) == 0 {
                left -= 1;
                self.accept(now);
            }
            self.report(*id, *edge, now);
        }
        (0..left).for_each(|_| self.accept(now));
        self.net.phase = Phase::Hear;
        self.core.hear(now, &mut self.net);
        self.net.phase = Phase::Neither;
        self.core.expire(now);
        self.net.phase = Phase::Deliver;
        self.core.deliver(now, &mut self.net);
        self.net.phase = Phase::Neither;
        let buried = self.bury();
        let work = self.net.work;
        let did_something =
            !events.is_empty() || accepts + buried > 0 || work.read_bytes + work.write_bytes > 0;
        self.idle_turns = if did_something || !self.core.is_busy() { 0 } else { self.idle_turns + 1 };
    }

    fn report(&mut self, id: PeerId, edge: Edge, now: Instant) {
        self.net.trace.note(Note::Edge(id, edge));
        match edge {
            Edge::Readable => self.core.readable(id),
            Edge::Writable => self.core.writable(id, now),
        }
    }

    fn accept(&mut self, now: Instant) {
        let Some(number) = self.arrivals.pop_front() else { return };
        let crowded = self.is_crowded();
        let fortune = &mut self.fortunes[number];
        fortune.crowded = crowded;
        fortune.drained |= self.drained;
        match self.core.open(SimLink(number), self.roads[number].arrival(), now) {
            Ok(id) => {
                fortune.opened_at = Some(self.now);
                self.book.names.insert(id, number);
                self.net.register(number, id);
                self.net.trace.note(Note::Opened(number, id));
                if self.rng.chance(self.net.faults.lose) {
                    self.core.lose(id, now);
                    self.fortunes[number].cut = true;
                }
            }
            Err(SimLink(number)) => {
                fortune.turned_away = true;
                self.net.trace.note(Note::TurnedAway(number));
                self.net.release(number, true);
            }
        }
    }

    /// Whether the relay may have no place for one more: it counts at most those that are not buried.
    fn is_crowded(&self) -> bool {
        let limits = &self.plan.limits;
        if self.book.names.len() < limits.max_connections.min(limits.max_handshakes) {
            return false;
        }
        let sockets = || self.net.sockets.iter().enumerate();
        let present = || sockets().filter(|(_, socket)| socket.name.is_some() && !socket.buried);
        // One who posts may have been told to go on.
        let asks =
            |number: usize, socket: &Socket| socket.written == 0 || self.clients[number].kind == Kind::Poster;
        present().count() >= limits.max_connections
            || present().filter(|(number, socket)| asks(*number, socket)).count() >= limits.max_handshakes
    }

    fn bury(&mut self) -> usize {
        let (net, names, fortunes) = (&mut self.net, &self.book.names, &mut self.fortunes);
        let (now, mut count) = (self.now, 0);
        self.core.bury(|buried| {
            let number = buried.link.0;
            count += 1;
            if names.get(&buried.id) != Some(&number) || net.sockets[number].buried {
                net.objection = Some(format!("{} was buried with the link of {number}", buried.id));
            }
            fortunes[number].buried_at = Some(now);
            fortunes[number].was_reset = buried.reset;
            net.trace.note(Note::Buried(number, buried.id, buried.reset));
            net.release(number, buried.reset);
        });
        count
    }

    fn check(&mut self) -> Result<(), String> {
        if let Some(objection) = self.net.objection.take() {
            return Err(objection);
        }
        let accepted = core::accepted(&mut self.core);
        self.check_work(accepted.len())?;
        for one in &accepted {
            if self.full.iter().any(|path| **path == *one.channel) {
                return Err(format!(
                    "law 9: a sender of {} was read, of which too much is on its way",
                    one.channel
                ));
            }
            let (client, n) = self.book.record(one, &self.clients)?;
            self.net.trace.note(Note::Published(client, n));
            self.charge(client, one.payload.len())?;
        }
        self.check_closed_for_rate()?;
        self.full = core::over_hold(&self.core);
        self.place()?;
        self.check_crowds()?;
        self.check_callers()?;
        let now = self.clock();
        if self.audit_every > 0 && self.turns.is_multiple_of(self.audit_every) {
            core::audit(&self.core)?;
        }
        if self.core.next_deadline().is_some_and(|at| at <= now) {
            return Err("the next deadline is not after now: the loop would spin".into());
        }
        if self.idle_turns > IDLE_TURNS_MOST + self.living.len() {
            return Err(format!("busy for {} turns, and nothing happens", self.idle_turns));
        }
        self.check_deadlines()
    }

    /// Work stops when a budget is spent; the last one served may go over it by no more than its own share.
    fn check_work(&self, messages: usize) -> Result<(), String> {
        let (work, budget) = (self.net.work, &self.plan.limits.turn);
        let within = work.reads <= budget.reads
            && work.read_bytes < budget.read_bytes + budget.read_per_peer
            && messages < budget.frames + budget.frames_per_peer
            && work.writes <= budget.writes
            && work.write_bytes < budget.write_bytes + budget.write_per_peer;
        if within {
            Ok(())
        } else {
            Err(format!("law 9: a turn did {work:?}, {messages} messages, of {budget:?}"))
        }
    }

    /// Notes who has joined, and that the limits on peers hold.
    fn place(&mut self) -> Result<(), String> {
        let mut open = 0;
        let mut by_client = BTreeMap::<_, usize>::new();
        for number in &self.living {
            let (client, socket) = (&self.clients[*number], &self.net.sockets[*number]);
            let asked = client.head_len > 0 && socket.consumed >= client.head_len;
            let is_open = asked && client.is_welcome() && !socket.buried;
            open += usize::from(is_open);
            if asked {
                self.fortunes[*number].asked_at.get_or_insert(self.now);
            }
            if let Some(client) = self.roads[*number].client().filter(|_| is_open) {
                *by_client.entry(client).or_default() += 1;
            }
            if !self.book.is_placed(*number) {
                self.book.place(client, asked, socket.written > 0);
            }
        }
        if open > self.plan.limits.max_connections {
            return Err(format!("law 9: {open} peers are open"));
        }
        let most = self.plan.limits.max_connections_per_address;
        if let Some((client, open)) = by_client.iter().find(|(_, open)| most > 0 && **open > most) {
            return Err(format!("law 9: {open} peers of {client} are open, of {most}"));
        }
        Ok(())
    }

    /// Whoever is open is known by its own address, whatever was said on the way.
    fn check_callers(&mut self) -> Result<(), String> {
        if self.plan.addresses == 0 {
            return Ok(());
        }
        for number in &self.living {
            let (client, socket) = (&self.clients[*number], &self.net.sockets[*number]);
            let caller = socket.name.and_then(|id| self.core.address_of(id));
            let Some(caller) = caller.filter(|_| client.is_welcome()) else { continue };
            let road = &self.roads[*number];
            self.named += u64::from(caller.real != caller.via);
            if caller.real != road.real() {
                return Err(format!("client {number} is known as {}, on {road:?}", caller.real));
            }
        }
        Ok(())
    }

    /// No deadline passes unnoticed. While the relay is busy, turns may lag behind time.
    fn check_deadlines(&self) -> Result<(), String> {
        if self.is_astir() || self.jumps > 0 {
            return Ok(());
        }
        for number in self.living.iter().map(|number| self.case(*number)) {
            number.judge_deadlines()?;
            number.judge_closing()?;
            number.judge_paper()?;
        }
        self.living.iter().try_for_each(|number| self.judge_rest(*number))?;
        Ok(())
    }

    /// SIGTERM.
    pub(super) fn drain(&mut self) {
        self.drained = true;
        self.core.drain(self.clock());
        for number in &self.living {
            self.fortunes[*number].drained |= !self.net.sockets[*number].buried;
        }
    }

    /// A client that does not look is told that it is gone.
    pub(super) fn dismiss(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if !client.is_over() {
            client.finish(End::Left, &mut self.net);
            self.net.leave(number);
        }
    }
}

/// The relay after it has stood idle until `now`.
fn aged(mut core: Core, now: Instant) -> Core {
    core.expire(now);
    core
}

/// The one look at the clock: all time is this and a virtual rest.
#[allow(clippy::disallowed_methods)]
fn base() -> Instant {
    Instant::now()
}
