//! The queue of lines and the one thread that writes them out.
//!
//! Promises: see the module above; and after a line that was torn in the middle (the disk was full) the next one
//! begins on a line of its own.

use std::{
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, SystemTime},
};

use log::{Level, kv::Source};

use super::form::Form;

/// Lines that may wait for standard error. A line is some hundred bytes, so this is a fraction of a megabyte.
const QUEUE_LINES: usize = 1024;

/// How often a refusing or slow standard error is looked at again.
const RETRY: Duration = Duration::from_millis(5);

/// The end of the queue that takes lines. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Outlet {
    queue: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
}

/// What both ends of the queue know.
#[derive(Debug, Default)]
struct Shared {
    /// How lines look; as they are given until `install` has chosen.
    form: OnceLock<Form>,
    /// Lines that found room in the queue. Never less than `done`.
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
        let shared = Arc::new(Shared::default());
        let outlet = Self { queue, shared: Arc::clone(&shared) };
        let sink = Sink { sink, torn: false };
        thread::Builder::new().name("log".into()).spawn(move || write_out(&lines, sink, &shared))?;
        Ok(outlet)
    }

    /// Says `text` at level `info`, whatever the filters are: see `say_at`.
    pub fn say(&self, text: &str) {
        self.say_at(Level::Info, text);
    }

    /// Puts `text` into the queue, or drops and counts it, whatever the filters are. Before `install` it stands as it
    /// is, however many lines it has; after that it is one record in the form chosen. The newline is added here.
    pub fn say_at(&self, level: Level, text: &str) {
        self.put(self.shared.line(level, text, &NO_PAIRS).into_bytes());
    }

    /// Waits until all lines so far are written, but not longer than `limit`. Says whether they are.
    pub fn flush(&self, limit: Duration) -> bool {
        let target = self.shared.queued.load(Ordering::SeqCst);
        let looks = limit.as_millis() / RETRY.as_millis();
        for _ in 0..looks {
            if self.shared.done.load(Ordering::SeqCst) >= target {
                return true;
            }
            thread::sleep(RETRY);
        }
        self.shared.done.load(Ordering::SeqCst) >= target
    }

    /// Lines dropped so far: the queue was full, or standard error failed.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::SeqCst)
    }

    /// Lines have this form from now on; the first call holds.
    pub(super) fn adopt(&self, form: Form) {
        let _ = self.shared.form.set(form);
    }

    fn put(&self, line: Vec<u8>) {
        // Counted before the line is in, so that the writer can never be ahead of the count.
        self.shared.queued.fetch_add(1, Ordering::SeqCst);
        if self.queue.try_send(line).is_err() {
            self.shared.queued.fetch_sub(1, Ordering::SeqCst);
            self.shared.dropped.fetch_add(1, Ordering::SeqCst);
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

const NO_PAIRS: Option<(&str, &str)> = None;

impl Shared {
    fn line(&self, level: Level, text: &str, pairs: &dyn Source) -> String {
        match self.form.get() {
            Some(form) => form.line(clock(), level, text, pairs),
            None => format!("{text}\n"),
        }
    }

    /// What stands before the first line after a gap.
    fn gap_line(&self, dropped: u64) -> String {
        let text = format!("({dropped} log lines were dropped before this one)");
        self.line(Level::Warn, &text, &("dropped", dropped))
    }
}

/// What time people have. It stamps lines and decides nothing.
#[allow(clippy::disallowed_methods)]
pub(super) fn clock() -> SystemTime {
    SystemTime::now()
}

fn write_out(lines: &Receiver<Vec<u8>>, mut sink: Sink<impl Write>, shared: &Shared) {
    let mut mentioned = 0;
    while let Ok(line) = lines.recv() {
        let dropped = shared.dropped.load(Ordering::SeqCst);
        if dropped > mentioned && sink.put(shared.gap_line(dropped - mentioned).as_bytes()).is_ok() {
            mentioned = dropped;
        }
        if sink.put(&line).is_err() {
            shared.dropped.fetch_add(1, Ordering::SeqCst);
        }
        shared.done.fetch_add(1, Ordering::SeqCst);
    }
}

/// Where lines go, and whether the last one is whole.
struct Sink<S> {
    sink: S,
    /// The last line was written in part, so that a newline is owed before the next.
    torn: bool,
}

impl<S: Write> Sink<S> {
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.put_bytes(b"\n")?;
            self.torn = false;
        }
        self.put_bytes(line)
    }

    /// `write_all`, also where somebody else has made standard error non-blocking.
    fn put_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let error = match self.sink.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    rest = &rest[written..];
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => thread::sleep(RETRY),
                _ => {
                    self.torn |= rest.len() < bytes.len();
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "outlet_tests.rs"]
mod tests;
