//! Lines to standard error that can neither stop nor end the program.
//!
//! Owns a bounded queue, the one thread that writes it out, and the count of lines that were dropped. Promises: no
//! caller ever blocks or panics, whatever standard error is (a full disk, a dead pipe, a pipe nobody reads); a line
//! that finds the queue full is dropped, counted, and mentioned when there is room again. The flags of standard
//! error are never touched: they belong to whoever shares it with us. Leaves to others: what comes from outside is
//! escaped by whoever logs it.

use std::{
    env,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use log::LevelFilter;

/// Lines that may wait for standard error. A line is some hundred bytes, so this is a fraction of a megabyte.
const QUEUE_LINES: usize = 1024;

// `trace!` formats every frame in tungstenite: it is compiled out of what is shipped.
const _: () =
    assert!(cfg!(debug_assertions) || log::STATIC_MAX_LEVEL as usize <= LevelFilter::Debug as usize);

/// How often a refusing or slow standard error is looked at again.
const RETRY: Duration = Duration::from_millis(5);

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For the journal when `JOURNAL_STREAM` says that it reads, else for people.
    #[default]
    Auto,
    /// Time, level, text; in colours on a terminal.
    Human,
    /// The level as the journal's prefix (`<6>`), and no time: the journal has its own.
    Journal,
    /// One JSON object a line.
    Json,
}

/// The end of the queue that takes lines. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Outlet {
    queue: SyncSender<Vec<u8>>,
    tally: Arc<Tally>,
}

/// What became of the lines. `queued` is never less than `done`.
#[derive(Debug, Default)]
struct Tally {
    /// Lines that found room in the queue.
    queued: AtomicU64,
    /// Lines of the queue that were written, or failed to be.
    done: AtomicU64,
    /// Lines that nobody will see.
    dropped: AtomicU64,
}

impl Outlet {
    /// Starts the thread that writes to standard error.
    ///
    /// # Errors
    /// When the system grants no thread.
    pub fn start() -> io::Result<Self> {
        Self::start_on(io::stderr())
    }

    fn start_on(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let tally = Arc::new(Tally::default());
        let outlet = Self { queue, tally: Arc::clone(&tally) };
        thread::Builder::new().name("log".into()).spawn(move || write_out(&lines, sink, &tally))?;
        Ok(outlet)
    }

    /// Puts one line into the queue, or drops and counts it. The newline is added here.
    pub fn say(&self, line: &str) {
        self.put(format!("{line}\n").into_bytes());
    }

    /// Waits until all lines so far are written, but not longer than `limit`. Says whether they are.
    pub fn flush(&self, limit: Duration) -> bool {
        let target = self.tally.queued.load(Ordering::SeqCst);
        let looks = limit.as_millis() / RETRY.as_millis();
        for _ in 0..looks {
            if self.tally.done.load(Ordering::SeqCst) >= target {
                return true;
            }
            thread::sleep(RETRY);
        }
        self.tally.done.load(Ordering::SeqCst) >= target
    }

    /// Lines dropped so far: the queue was full, or standard error failed.
    pub fn dropped(&self) -> u64 {
        self.tally.dropped.load(Ordering::SeqCst)
    }

    fn put(&self, line: Vec<u8>) {
        // Counted before the line is in, so that the writer can never be ahead of the count.
        self.tally.queued.fetch_add(1, Ordering::SeqCst);
        if self.queue.try_send(line).is_err() {
            self.tally.queued.fetch_sub(1, Ordering::SeqCst);
            self.tally.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// `env_logger` hands over one whole line with each write.
impl Write for Outlet {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends the `log` macros to `outlet`. `RUST_LOG` is heard before `level`; what cannot be read in it is said in a
/// line of the log, and `level` holds. Lines have no time of their own when the journal keeps it.
pub fn install(outlet: &Outlet, level: LevelFilter) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level).target(env_logger::Target::Pipe(Box::new(outlet.clone())));
    let complaint = env::var("RUST_LOG").ok().and_then(|filters| heed(&mut builder, &filters).err());
    let timed = env::var_os("JOURNAL_STREAM").is_none();
    builder.format(move |out, record| {
        if timed {
            write!(out, "{} ", out.timestamp_millis())?;
        }
        writeln!(out, "{:<5} {}", record.level(), record.args())
    });
    // Fails only where a logger stands already, and then that one is as good.
    let _ = builder.try_init();
    if let Some(complaint) = complaint {
        log::warn!("RUST_LOG is ignored: {complaint}");
    }
}

/// Asks `env_filter` first: `env_logger` itself would print its complaint with `eprintln!`, which blocks on a full
/// pipe and panics on a dead one.
fn heed(builder: &mut env_logger::Builder, filters: &str) -> Result<(), String> {
    match env_filter::Builder::new().try_parse(filters) {
        Ok(_) => drop(builder.parse_filters(filters)),
        Err(error) => return Err(error.to_string().escape_debug().to_string()),
    }
    Ok(())
}

fn write_out(lines: &Receiver<Vec<u8>>, mut sink: impl Write, tally: &Tally) {
    let mut mentioned = 0;
    while let Ok(line) = lines.recv() {
        let dropped = tally.dropped.load(Ordering::SeqCst);
        if dropped > mentioned {
            let note = format!("({} log lines were dropped before this one)\n", dropped - mentioned);
            let _ = write_patiently(&mut sink, note.as_bytes());
            mentioned = dropped;
        }
        if write_patiently(&mut sink, &line).is_err() {
            // A line that failed is not news that a sink which fails could be told.
            tally.dropped.fetch_add(1, Ordering::SeqCst);
            mentioned += 1;
        }
        tally.done.fetch_add(1, Ordering::SeqCst);
    }
}

/// `write_all`, also where somebody else has made standard error non-blocking.
fn write_patiently(sink: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lets through one line a second and counts the rest, for what the outside can cause at will.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Before this time nothing passes.
    closed_until: Option<Instant>,
    /// What did not pass since the last that did.
    held_back: u64,
}

impl Throttle {
    /// Whether a line may be written now, and if so, how many were held back before it.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.closed_until.is_some_and(|until| now < until) {
            self.held_back += 1;
            return None;
        }
        self.closed_until = now.checked_add(Duration::from_secs(1));
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
#[path = "logging_tests.rs"]
mod tests;
