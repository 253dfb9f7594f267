//! Tests of `outlet`: sinks that block, fail, dribble, tear and recover.

use super::*;
use std::sync::{
    Mutex,
    mpsc::{Sender, channel},
};

const SOON: Duration = Duration::from_secs(2);

/// Takes one byte less than it is offered, and refuses every other call.
#[derive(Clone, Default)]
struct Fussy {
    taken: Arc<Mutex<Vec<u8>>>,
    calls: usize,
}

impl Write for Fussy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        match self.calls % 3 {
            0 => return Err(io::ErrorKind::WouldBlock.into()),
            1 => return Err(io::ErrorKind::Interrupted.into()),
            _ => {}
        }
        let some = bytes.len().div_ceil(2);
        self.taken.lock().unwrap().extend(&bytes[..some]);
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands each line on, then blocks until a word comes or nobody is left to say one.
struct Gate {
    open: Receiver<()>,
    lines: Sender<String>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.lines.send(String::from_utf8_lossy(bytes).into_owned());
        let _ = self.open.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails always, as a dead pipe or a full disk does.
struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_arrive_whole_through_a_fussy_sink() {
    let sink = Fussy::default();
    let outlet = Outlet::start_on(sink.clone()).unwrap();
    outlet.say("one");
    outlet.say("two");
    assert!(outlet.flush(SOON));
    assert_eq!(*sink.taken.lock().unwrap(), b"one\ntwo\n");
    assert_eq!(outlet.dropped(), 0);
}

#[test]
fn a_sink_that_blocks_costs_lines_and_no_time() {
    let (open, gate) = channel();
    let (lines, seen) = channel();
    let outlet = Outlet::start_on(Gate { open: gate, lines }).unwrap();
    outlet.say("first");
    assert_eq!(seen.recv().unwrap(), "first\n");
    for n in 0..3 * QUEUE_LINES {
        outlet.say(&n.to_string());
    }
    assert!(!outlet.flush(Duration::from_millis(20)), "the sink holds on to the first line");
    assert_eq!(outlet.dropped() as usize, 2 * QUEUE_LINES);
    drop(open);
    assert!(outlet.flush(SOON));
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(seen[0], format!("({} log lines were dropped before this one)\n", 2 * QUEUE_LINES));
    assert_eq!(seen[1], "0\n");
    assert_eq!(seen.len(), 1 + QUEUE_LINES);
}

#[test]
fn a_broken_sink_is_counted_and_survived() {
    let outlet = Outlet::start_on(Broken).unwrap();
    for _ in 0..5 {
        outlet.say("nobody will read this");
    }
    assert!(outlet.flush(SOON));
    assert_eq!(outlet.dropped(), 5);
}

/// Full after so many bytes, until somebody makes room.
#[derive(Clone, Default)]
struct Disk {
    taken: Arc<Mutex<Vec<u8>>>,
    room: Arc<AtomicU64>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room.load(Ordering::SeqCst);
        let some = bytes.len().min(room as usize);
        if some == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room.fetch_sub(some as u64, Ordering::SeqCst);
        self.taken.lock().unwrap().extend(&bytes[..some]);
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_tears_one_line_and_all_lost_ones_are_mentioned_when_there_is_room() {
    let disk = Disk::default();
    disk.room.store(6, Ordering::SeqCst);
    let outlet = Outlet::start_on(disk.clone()).unwrap();
    for line in ["one", "torn", "lost", "lost"] {
        outlet.say(line);
    }
    assert!(outlet.flush(SOON));
    assert_eq!(outlet.dropped(), 3);
    disk.room.store(1000, Ordering::SeqCst);
    outlet.say("back");
    outlet.say("again");
    assert!(outlet.flush(SOON));
    let taken = String::from_utf8(disk.taken.lock().unwrap().clone()).unwrap();
    assert_eq!(taken, "one\nto\n(3 log lines were dropped before this one)\nback\nagain\n");
}

#[test]
fn what_is_said_stands_as_it_is_until_a_form_is_adopted() {
    let disk = Disk::default();
    disk.room.store(1000, Ordering::SeqCst);
    let outlet = Outlet::start_on(disk.clone()).unwrap();
    outlet.say("two\nlines");
    outlet.adopt(Form::Journal);
    outlet.adopt(Form::Json);
    outlet.say("one\nline");
    outlet.say_at(Level::Error, "bad");
    assert!(outlet.flush(SOON));
    let taken = String::from_utf8(disk.taken.lock().unwrap().clone()).unwrap();
    assert_eq!(taken, "two\nlines\n<6>one\\nline\n<3>bad\n");
}
