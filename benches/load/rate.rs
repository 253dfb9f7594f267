//! Open loop: messages on a fixed schedule, whether the server keeps up or not.
//!
//! The delay of a message counts from when it was due, not from when it could be sent, so a server that is behind
//! cannot hide it. Nothing here spins: a timer wakes the poller. After the span nothing more is sent, and what is on
//! its way is waited for, as long as the patience reaches; what is missing then counts as if it came then.

use std::os::fd::{AsRawFd, OwnedFd};

use mio::{Events, Interest, unix::SourceFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use serde_json::{Value, json};

use crate::{
    Outcome,
    arguments::{Common, Members},
    crowd::{AFTERMATH, Crowd, Ear, TIMER},
    latency::Histogram,
    process::{Servers, now_ns},
    schedule::Schedule,
    snapshot::{Snapshot, Span},
};

/// Few enough that a message that is due does not wait long for what comes.
const AT_A_TIME: usize = 64;

/// From the call to the first message.
const LEAD_NS: u64 = 20_000_000;

/// Takes the delays of what is due within the span.
#[derive(Debug)]
struct Stopwatch {
    schedule: Schedule,
    span_start_ns: u64,
    now_ns: u64,
    /// Of each delivery, and of each message at its last receiver.
    each: Histogram,
    last: Histogram,
}

impl Stopwatch {
    /// The delay of a message that is here now, if it counts.
    fn delay_ns(&self, sender: u32, number: u32) -> Option<u64> {
        let due = self.schedule.due_ns(self.schedule.nth_of(sender, number));
        (due >= self.span_start_ns).then(|| self.now_ns.saturating_sub(due))
    }
}

impl Stopwatch {
    /// Counts deliveries that will not be waited for as if they came now: they would have taken even longer.
    fn give_up(&mut self, (sender, number, count): (u32, u32, u32)) -> u64 {
        if let Some(delay) = self.delay_ns(sender, number) {
            self.each.record_many(delay, u64::from(count));
            self.last.record_many(delay, 1);
        }
        u64::from(count)
    }
}

impl Ear for Stopwatch {
    fn read(&mut self) {
        self.now_ns = now_ns();
    }

    fn message(&mut self, sender: u32, number: u32) {
        if let Some(delay) = self.delay_ns(sender, number) {
            self.each.record(delay);
        }
    }

    fn complete(&mut self, sender: u32, number: u32) {
        if let Some(delay) = self.delay_ns(sender, number) {
            self.last.record(delay);
        }
    }
}

/// What a span of it gave.
#[derive(Debug)]
pub struct Record {
    pub span: Span,
    /// Deliveries still missing when the patience ended.
    pub missing: u64,
    pub latency: Value,
}

/// How fast, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub per_second: f64,
    pub warm_up: f64,
    pub seconds: f64,
}

/// Runs it and gives the result.
pub fn measure(common: &Common, members: Members, per_second: f64, stopped: u32) -> Outcome<Value> {
    let servers = Servers(common.servers.clone());
    let start = servers.memory()?;
    servers.forget_peak();
    let mut crowd = Crowd::gather(common, members)?;
    crowd.join_stopped(stopped)?;
    let pace = Pace { per_second, warm_up: common.warm_up, seconds: common.seconds };
    let record = run(&mut crowd, &servers, pace)?;
    if record.missing == 0 {
        crowd.idle(AFTERMATH)?;
    }
    let mut result = json!({ "shape": "rate", "offered": per_second });
    record.span.write_to(&mut result);
    result["served"] = json!(record.span.deliveries as f64 / f64::from(crowd.need()) / record.span.secs);
    result["behind"] = json!(record.missing > 0);
    result["missing"] = json!(record.missing);
    result["latency"] = record.latency;
    result["rss_start"] = json!(start.rss);
    result["rss_end"] = json!(servers.memory()?.rss);
    result["rss_peak"] = json!(servers.peak()?);
    Ok(result)
}

/// One warm-up, one span, and what comes after it.
pub fn run(crowd: &mut Crowd, servers: &Servers, pace: Pace) -> Outcome<Record> {
    if !(pace.per_second > 0.0 && pace.per_second <= 1e6) {
        return Err("up to a million messages per second".into());
    }
    let first = (0..crowd.senders()).map(|sender| crowd.next_of(sender)).collect();
    let schedule = Schedule::new(0, pace.per_second, pace.warm_up + pace.seconds, first);
    crowd.prepare(schedule.most_of_one().max(1), false)?;
    let mut run = Run::begin(crowd, schedule, pace)?;
    let before = run.go_on_until(crowd, servers, pace.warm_up)?;
    let after = run.go_on_until(crowd, servers, pace.warm_up + pace.seconds)?;
    let missing = run.drain(crowd)?;
    crowd.registry().deregister(&mut SourceFd(&run.timer.as_raw_fd()))?;
    let Stopwatch { each, last, .. } = run.watch;
    let latency = json!({ "each": each.summary(), "last": last.summary() });
    Ok(Record { span: after.since(&before), missing, latency })
}

#[derive(Debug)]
struct Run {
    timer: OwnedFd,
    events: Events,
    watch: Stopwatch,
    /// Messages sent.
    sent: u64,
}

impl Run {
    fn begin(crowd: &Crowd, mut schedule: Schedule, pace: Pace) -> Outcome<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        crowd.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        schedule.start_ns = now_ns() + LEAD_NS;
        let span_start_ns = schedule.start_ns + (pace.warm_up * 1e9) as u64;
        let (each, last) = (Histogram::default(), Histogram::default());
        let watch = Stopwatch { schedule, span_start_ns, now_ns: 0, each, last };
        Ok(Self { timer, events: Events::with_capacity(AT_A_TIME), watch, sent: 0 })
    }

    /// Sends what is due and hears what comes until so many seconds after the start, and looks around then.
    fn go_on_until(&mut self, crowd: &mut Crowd, servers: &Servers, seconds: f64) -> Outcome<Snapshot> {
        let end = self.watch.schedule.start_ns + (seconds * 1e9) as u64;
        self.wake_at(self.next_ns().min(end))?;
        loop {
            if now_ns() >= end {
                return Snapshot::take(servers, crowd);
            }
            if self.send(crowd)? {
                self.wake_at(self.next_ns().min(end))?;
            }
            crowd.turn(&mut self.events, &mut self.watch)?;
        }
    }

    /// When the next message is due; never, when all are sent.
    fn next_ns(&self) -> u64 {
        let schedule = &self.watch.schedule;
        if self.sent < schedule.total { schedule.due_ns(self.sent) } else { u64::MAX }
    }

    /// Sends what is due; whether anything was.
    fn send(&mut self, crowd: &mut Crowd) -> Outcome<bool> {
        let before = self.sent;
        let now = now_ns();
        while self.next_ns() <= now {
            let sender = self.watch.schedule.sender_of(self.sent);
            crowd.say(sender);
            crowd.flush(sender)?;
            self.sent += 1;
        }
        Ok(self.sent > before)
    }

    fn wake_at(&self, at_ns: u64) -> Outcome<()> {
        let nanosecond = 1_000_000_000;
        let it_value = Timespec { tv_sec: (at_ns / nanosecond) as i64, tv_nsec: (at_ns % nanosecond) as i64 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }

    /// Waits for what is on its way; how many deliveries are missing when there is no more patience.
    fn drain(&mut self, crowd: &mut Crowd) -> Outcome<u64> {
        let end = now_ns() + crowd.patience_ns();
        crowd.begin_waiting();
        while crowd.on_their_way() > 0 && now_ns() < end {
            self.wake_at(end)?;
            crowd.turn(&mut self.events, &mut self.watch)?;
            // A server that is behind delivers all the time; one that has lost something is silent.
            if crowd.quiet_ns() > crowd.patience_ns() / 2 {
                return Err(crowd.silence());
            }
        }
        self.watch.now_ns = now_ns();
        Ok(crowd.missing().map(|missing| self.watch.give_up(missing)).sum())
    }
}
