//! Closed loop: each sender keeps a window of messages on their way.
//!
//! CPU and time are taken while nothing is, so that they belong to exactly the messages in between.

use mio::Events;
use serde_json::{Value, json};

use crate::{
    Outcome,
    arguments::{Common, Members},
    crowd::{AFTERMATH, Crowd, Ear},
    process::{Servers, now_ns},
    snapshot::Snapshot,
};

/// Rings beyond this are no faster than comparing message by message.
const LARGEST_RING: usize = 64 << 20;

/// Senders who may send again.
#[derive(Debug, Default)]
struct Ready(Vec<u32>);

impl Ear for Ready {
    fn complete(&mut self, sender: u32, _number: u32) {
        // A window's messages mostly become complete one behind the other.
        if self.0.last() != Some(&sender) {
            self.0.push(sender);
        }
    }
}

/// Runs it and gives the result.
pub fn measure(common: &Common, members: Members, window: u32) -> Outcome<Value> {
    let servers = Servers(common.servers.clone());
    let start = servers.memory()?;
    servers.forget_peak();
    let mut crowd = Crowd::gather(common, members)?;
    let ring = members.senders == 1 && window as usize * crowd.wire.length() <= LARGEST_RING;
    crowd.prepare(window, ring)?;
    run(&mut crowd, window, common.warm_up)?;
    let before = Snapshot::take(&servers, &crowd)?;
    run(&mut crowd, window, common.seconds)?;
    let after = Snapshot::take(&servers, &crowd)?;
    let mut result = json!({ "shape": "flood", "window": window });
    after.since(&before).write_to(&mut result);
    crowd.idle(AFTERMATH)?;
    result["latency"] = Value::Null;
    result["rss_start"] = json!(start.rss);
    result["rss_end"] = json!(servers.memory()?.rss);
    result["rss_peak"] = json!(servers.peak()?);
    Ok(result)
}

/// Sends for so many seconds, then waits until all has come.
fn run(crowd: &mut Crowd, window: u32, seconds: f64) -> Outcome<()> {
    let end = now_ns() + (seconds * 1e9) as u64;
    let mut events = Events::with_capacity(1024);
    let mut ready = Ready((0..crowd.senders()).collect());
    crowd.begin_waiting();
    loop {
        if now_ns() < end {
            send(crowd, window, &mut ready)?;
        } else if crowd.on_their_way() == 0 {
            return Ok(());
        }
        crowd.turn(&mut events, &mut ready)?;
        crowd.be_patient()?;
    }
}

/// Fills the windows of all that have room.
fn send(crowd: &mut Crowd, window: u32, ready: &mut Ready) -> Outcome<()> {
    for sender in ready.0.drain(..) {
        if crowd.of_sender(sender) == window {
            continue;
        }
        while crowd.of_sender(sender) < window {
            crowd.say(sender);
        }
        crowd.flush(sender)?;
    }
    Ok(())
}
