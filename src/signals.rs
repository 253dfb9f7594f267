//! Signals, brought into the poll loop through a pipe.
//!
//! Owns the handlers, one flag per signal, and a pipe whose readable end the server registers. Promises: a handler
//! sets its flag before it writes to the pipe and never blocks; a storm coalesces, since a flag that is set stays
//! set and a full pipe is readable anyway; no signal is lost. What the signals mean is the server's business.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mio::{Interest, Registry, Token, event::Source};
use signal_hook::{
    SigId,
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    flag,
    low_level::{pipe, unregister},
};

/// The signals that came since the last look, each at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// SIGTERM or SIGINT: stop.
    pub stop: bool,
    /// SIGHUP: read the configuration again.
    pub reload: bool,
    /// SIGUSR1: log the counters.
    pub report: bool,
}

/// The installed handlers and the pipe they wake the loop by. Dropping it takes the handlers out again; the signals
/// are then ignored.
#[derive(Debug)]
pub struct Signals {
    /// Readable after a signal. Never blocks.
    wake: mio::net::UnixStream,
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
    /// What is installed, flags before pipes.
    installed: Vec<SigId>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// When there is no descriptor left for the pipe, or the system refuses a handler.
    pub fn install() -> io::Result<Self> {
        let (wake, knock) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let wake = mio::net::UnixStream::from_std(wake);
        let [stop, reload, report] = std::array::from_fn(|_| Arc::default());
        let mut signals = Self { wake, stop, reload, report, installed: Vec::new() };
        signals.catch(SIGTERM, Arc::clone(&signals.stop), &knock)?;
        signals.catch(SIGINT, Arc::clone(&signals.stop), &knock)?;
        signals.catch(SIGHUP, Arc::clone(&signals.reload), &knock)?;
        signals.catch(SIGUSR1, Arc::clone(&signals.report), &knock)?;
        Ok(signals)
    }

    /// Makes the pipe wake a poll with `token`.
    ///
    /// # Errors
    /// Those of the registration.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.wake.register(registry, token, Interest::READABLE)
    }

    /// Takes what was caught. To be called after each event of the pipe.
    pub fn take(&mut self) -> Caught {
        self.empty_pipe();
        // Only now the flags: a signal that comes in between is seen here or wakes the loop once more. The other way
        // round its byte could be swallowed and its flag be seen by nobody.
        let taken = |flag: &AtomicBool| flag.swap(false, Ordering::SeqCst);
        Caught { stop: taken(&self.stop), reload: taken(&self.reload), report: taken(&self.report) }
    }

    fn empty_pipe(&mut self) {
        let mut bytes = [0; 256];
        loop {
            match self.wake.read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Handlers run in the order of their installation: the flag is up before the loop wakes.
    fn catch(&mut self, signal: i32, flag: Arc<AtomicBool>, knock: &UnixStream) -> io::Result<()> {
        self.installed.push(flag::register(signal, flag)?);
        self.installed.push(pipe::register(signal, knock.try_clone()?)?);
        Ok(())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.installed.drain(..) {
            unregister(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use signal_hook::low_level::raise;
    use std::{sync::Mutex, time::Duration};

    /// Signals belong to the process: the tests of this room take turns.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    const TOKEN: Token = Token(7);

    fn wakes(poll: &mut Poll, timeout_ms: u64) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::from_millis(timeout_ms))).unwrap();
        events.iter().any(|event| event.token() == TOKEN)
    }

    fn installed() -> (Poll, Signals) {
        let poll = Poll::new().unwrap();
        let mut signals = Signals::install().unwrap();
        signals.register(poll.registry(), TOKEN).unwrap();
        (poll, signals)
    }

    #[test]
    fn each_signal_wakes_the_loop_and_is_told_apart() {
        let _alone = ONE_AT_A_TIME.lock().unwrap();
        let (mut poll, mut signals) = installed();
        let table = [
            (SIGTERM, Caught { stop: true, ..Caught::default() }),
            (SIGINT, Caught { stop: true, ..Caught::default() }),
            (SIGHUP, Caught { reload: true, ..Caught::default() }),
            (SIGUSR1, Caught { report: true, ..Caught::default() }),
        ];
        assert!(!table.is_empty());
        for (signal, caught) in table {
            raise(signal).unwrap();
            assert!(wakes(&mut poll, 1000), "signal {signal} did not wake the loop");
            assert_eq!(signals.take(), caught, "signal {signal}");
            assert_eq!(signals.take(), Caught::default(), "taken once");
        }
    }

    /// Row 35 of the fault matrix: more signals than the pipe holds bytes; none blocks, and no stop is lost.
    #[test]
    fn a_storm_coalesces_and_loses_nothing() {
        let _alone = ONE_AT_A_TIME.lock().unwrap();
        let (mut poll, mut signals) = installed();
        for _ in 0..3000 {
            raise(SIGUSR1).unwrap();
            raise(SIGHUP).unwrap();
        }
        raise(SIGTERM).unwrap();
        assert!(wakes(&mut poll, 1000));
        assert_eq!(signals.take(), Caught { stop: true, reload: true, report: true });
        assert!(!wakes(&mut poll, 0), "one wake for all of them");
        raise(SIGTERM).unwrap();
        assert!(wakes(&mut poll, 1000), "the emptied pipe wakes again");
        assert!(signals.take().stop);
    }
}
