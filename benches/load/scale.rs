//! Idle connections, more and more: what each weighs, what opening it costs, and how one slow sender fares.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Outcome,
    arguments::Common,
    crowd::Crowd,
    process::{Memory, Servers, now_ns},
    rate::{self, Pace},
};

/// Of the slow sender.
const PER_SECOND: f64 = 5.0;

/// What a server has to put its memory in order: at each step, and after all have left.
const REST: Duration = Duration::from_millis(500);
const LONG_REST: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Scale<'a> {
    common: &'a Common,
    servers: Servers,
    crowd: Crowd,
    idle_seconds: f64,
    /// Of the empty server.
    empty: Memory,
}

/// Runs it and gives the result.
pub fn measure(common: &Common, connections: &[u32], again: u32, idle_seconds: f64) -> Outcome<Value> {
    let most = *connections.last().ok_or("at least one step")?;
    if common.channels != 1 || !connections.is_sorted() || connections[0] < 2 {
        return Err("one channel, and steps that grow, from two connections on".into());
    }
    let servers = Servers(common.servers.clone());
    let empty = servers.memory()?;
    servers.forget_peak();
    let mut scale = Scale { common, servers, crowd: Crowd::new(common, 1)?, idle_seconds, empty };
    let steps = connections.iter().map(|&count| scale.step(count)).collect::<Outcome<Vec<_>>>()?;
    let mut rounds = Vec::new();
    for _ in 0..again {
        rounds.push(scale.again(most)?);
    }
    let left = scale.leave()?;
    Ok(json!({
        "shape": "scale", "steps": steps, "again": rounds, "rss_start": empty.rss, "pss_start": empty.pss,
        "rss_end": left.rss, "rss_peak": scale.servers.peak()?,
    }))
}

impl Scale<'_> {
    fn step(&mut self, connections: u32) -> Outcome<Value> {
        let mut step = self.grow(connections)?;
        eprintln!("{connections} connections: {}", step["rss_each"]);
        let pace = Pace { per_second: PER_SECOND, warm_up: 1.0 / PER_SECOND, seconds: self.common.seconds };
        let record = rate::run(&mut self.crowd, &self.servers, pace)?;
        if record.missing > 0 {
            return Err(format!("{} deliveries were missing at {connections}", record.missing).into());
        }
        let mut slow = json!({ "offered": PER_SECOND });
        record.span.write_to(&mut slow);
        slow["latency"] = record.latency;
        step["slow"] = slow;
        step["idle_cpu"] = json!(self.idle_secs()?);
        step["idle_seconds"] = json!(self.idle_seconds);
        Ok(step)
    }

    /// Opens so many that there are that many; what that cost.
    fn grow(&mut self, connections: u32) -> Outcome<Value> {
        let before = self.crowd.len();
        let (start, cpu) = (now_ns(), self.servers.cpu_ns()?);
        if before == 0 {
            self.crowd.join_senders()?;
        }
        self.crowd.join_receivers(connections - self.crowd.len())?;
        let secs = (now_ns() - start) as f64 / 1e9;
        std::thread::sleep(REST);
        let opened = f64::from(connections - before);
        let server_us = (self.servers.cpu_ns()? - cpu) as f64 / 1e3;
        let mut step = self.weigh(connections)?;
        step["opened"] = json!(opened);
        step["handshakes_per_second"] = json!(opened / secs);
        step["handshake_us"] = json!(server_us / opened);
        Ok(step)
    }

    fn weigh(&self, connections: u32) -> Outcome<Value> {
        let memory = self.servers.memory()?;
        let each = |full: u64, empty: u64| (full as f64 - empty as f64) / f64::from(connections);
        Ok(json!({
            "connections": connections, "rss": memory.rss, "pss": memory.pss,
            "rss_each": each(memory.rss, self.empty.rss), "pss_each": each(memory.pss, self.empty.pss),
        }))
    }

    /// What the server costs while nothing happens but pings.
    fn idle_secs(&mut self) -> Outcome<f64> {
        let before = self.servers.cpu_ns()?;
        self.crowd.idle(Duration::try_from_secs_f64(self.idle_seconds)?)?;
        Ok((self.servers.cpu_ns()? - before) as f64 / 1e9)
    }

    /// Closes all, and opens as many as there were.
    fn again(&mut self, connections: u32) -> Outcome<Value> {
        let left = self.leave()?;
        let mut step = self.grow(connections)?;
        step["rss_left"] = json!(left.rss);
        step["pss_left"] = json!(left.pss);
        Ok(step)
    }

    /// Closes all; the server's memory after that.
    fn leave(&mut self) -> Outcome<Memory> {
        self.crowd.leave();
        std::thread::sleep(LONG_REST);
        self.servers.memory()
    }
}
