//! The real binary on a free port, and raw clients of it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_wsrelayd");

/// Long enough for a loaded machine, short enough for a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A running relay; killed when the test is done with it.
pub(crate) struct Relay {
    pub(crate) child: Child,
    pub(crate) stderr: BufReader<ChildStderr>,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Relay {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts a shell that becomes the relay after `prelude`.
    pub(crate) fn start_after(prelude: &str, arguments: &[&str]) -> Self {
        Self::spawn(after(prelude, arguments))
    }

    /// Starts it and reads the one line that says where it listens.
    pub(crate) fn spawn(command: Command) -> Self {
        Self::spawn_with(command, &[])
    }

    /// The same, with more in its environment.
    pub(crate) fn spawn_with(mut command: Command, environment: &[(&str, &str)]) -> Self {
        command.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM").stdin(Stdio::null());
        command.envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut relay = Self { child, stderr, addresses: Vec::new() };
        relay.addresses = addresses_in(&relay.line());
        relay
    }

    pub(crate) fn line(&mut self) -> String {
        if self.stderr.buffer().is_empty() {
            let mut polled = [PollFd::new(self.stderr.get_ref(), PollFlags::IN)];
            let patience = Timespec { tv_sec: PATIENCE.as_secs() as _, tv_nsec: 0 };
            assert_ne!(poll(&mut polled, Some(&patience)).unwrap(), 0, "the log says nothing more");
        }
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    /// Reads the log up to a line with `words`.
    pub(crate) fn line_with(&mut self, words: &str) -> String {
        for _ in 0..10_000 {
            let line = self.line();
            assert!(!line.is_empty(), "the log ended without {words:?}");
            if line.contains(words) {
                return line;
            }
        }
        panic!("no {words:?} in ten thousand lines");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// A client that has finished its handshake.
    pub(crate) fn client(&self) -> TcpStream {
        let mut client = self.asking_client();
        let answer = head(&mut client);
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        client
    }

    /// A client that has sent its request.
    pub(crate) fn asking_client(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.addresses[0]).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = "GET /start HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        client.write_all(request.as_bytes()).unwrap();
        client
    }

    /// Sends a short text from one client and expects it at the other.
    pub(crate) fn relays(&self, from: &mut TcpStream, to: &mut TcpStream, text: &str) {
        // Masked with zeros, so that the payload stands as it is.
        let length = u8::try_from(text.len()).unwrap();
        from.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()).unwrap();
        let mut frame = vec![0; 2 + text.len()];
        to.read_exact(&mut frame).unwrap();
        assert_eq!(frame, [&[0x81, length], text.as_bytes()].concat());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn after(prelude: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{prelude} exec \"$0\" \"$@\"")).arg(BINARY).args(arguments);
    command
}

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    until("the program ends", || child.try_wait().unwrap())
}

/// Looks every 10 ms until there is something, or fails.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Addresses of the network: those for peers, then those for operators.
pub(crate) fn addresses_in(greeting: &str) -> Vec<SocketAddr> {
    let (_, list) = greeting.split_once(" listens on ").unwrap_or_else(|| panic!("no greeting: {greeting}"));
    let list =
        list.split("; ").next().unwrap_or(list).trim_end().replace("for operators on http://", "ws://");
    list.split(", ").filter_map(|url| url.strip_prefix("ws://")?.parse().ok()).collect()
}

/// An HTTP head, byte by byte, so that nothing behind it is swallowed.
pub(crate) fn head(client: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

/// A close frame, and its code.
pub(crate) fn close_code(client: &mut TcpStream) -> u16 {
    let mut frame = [0; 4];
    client.read_exact(&mut frame).unwrap();
    assert_eq!(frame[0], 0x88, "no close frame: {frame:?}");
    u16::from_be_bytes([frame[2], frame[3]])
}

/// A configuration file that goes away with the test.
pub(crate) struct File(std::path::PathBuf);

impl File {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wsrelayd-{name}-{}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    /// What it says from now on. Another file in its place, as careful editors do it.
    pub(crate) fn rewrite(&self, text: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.0).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

/// A folder that goes away with the test.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wsrelayd-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The path of something in it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
