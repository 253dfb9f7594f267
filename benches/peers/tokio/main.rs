//! Peer: tokio-tungstenite with tokio's broadcast channel, one for each path: `bench-tokio --port N | --unix PATH`.
//!
//! After the example `server.rs` of tokio-tungstenite, a chat that reaches everybody but the sender, with its shape
//! (`try_for_each` publishes, `forward` sends and flushes when nothing more is there), and `tokio::sync::broadcast` in
//! place of its list of queues, after that module's documentation. One thread, since a server has one core here; no delay
//! by Nagle; everything else at its default. Knows no compression.
//!
//! `--each` flushes each message, as `SinkExt::send` in a loop over `recv` does: what is written most often, and slower.
//! `--channels` says that there will be many paths.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Sink, SinkExt, Stream, StreamExt, TryStreamExt, future, stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// Messages that a channel keeps for its slowest receiver, who is sent away when it needs an older one: more than any
/// workload has on its way, since a loss is no result. A ring takes its memory at once.
const KEPT: usize = 16_384;
const KEPT_OF_MANY_CHANNELS: usize = 1024;

/// A message, and the number of the connection that sent it.
type Published = (u64, Message);

struct Channels {
    kept: usize,
    each: bool,
    by_path: Mutex<HashMap<String, Sender<Published>>>,
}

impl Channels {
    fn join(&self, path: &str) -> (Sender<Published>, Receiver<Published>) {
        let mut by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = by_path.entry(path.to_owned()).or_insert_with(|| broadcast::channel(self.kept).0);
        (channel.clone(), channel.subscribe())
    }

    fn leave(&self, path: &str, channel: &Sender<Published>) {
        let mut by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        if channel.receiver_count() == 0 {
            by_path.remove(path);
        }
    }
}

/// Sends what comes, until the connection or the channel ends.
async fn send_all(
    messages: impl Stream<Item = Message>,
    mut outgoing: impl Sink<Message> + Unpin,
    each: bool,
) {
    let mut messages = pin!(messages);
    if !each {
        messages.map(Ok).forward(outgoing).await.ok();
        return;
    }
    while let Some(message) = messages.next().await {
        if outgoing.send(message).await.is_err() {
            return;
        }
    }
}

/// What the others on the channel say.
fn others(receiver: Receiver<Published>, own: u64) -> impl Stream<Item = Message> {
    stream::unfold(receiver, move |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok((sender, message)) if sender != own => return Some((message, receiver)),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    })
}

#[allow(clippy::result_large_err, reason = "the type of tungstenite's callback")]
async fn relay(stream: impl AsyncRead + AsyncWrite + Unpin, own: u64, channels: Arc<Channels>) {
    let mut path = String::new();
    let note_path = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        request.uri().path().clone_into(&mut path);
        Ok(response)
    };
    let Ok(socket) = accept_hdr_async(stream, note_path).await else { return };
    let (channel, receiver) = channels.join(&path);
    {
        let (outgoing, incoming) = socket.split();
        let publish = pin!(incoming.try_for_each(|message| {
            if message.is_binary() || message.is_text() {
                channel.send((own, message)).ok();
            }
            future::ok(())
        }));
        let receive = pin!(send_all(others(receiver, own), outgoing, channels.each));
        future::select(publish, receive).await;
    }
    channels.leave(&path, &channel);
}

#[allow(clippy::print_stdout, reason = "how a server says that it accepts")]
fn say_ready() {
    println!("ready");
}

async fn serve_tcp(port: u16, channels: Arc<Channels>) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    say_ready();
    for own in 0.. {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(relay(stream, own, Arc::clone(&channels)));
    }
    Ok(())
}

async fn serve_unix(path: &str, channels: Arc<Channels>) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    say_ready();
    for own in 0.. {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(relay(stream, own, Arc::clone(&channels)));
    }
    Ok(())
}

/// Takes the option from the arguments; whether it was there.
fn take(words: &mut Vec<String>, option: &str) -> bool {
    let before = words.len();
    words.retain(|word| word != option);
    words.len() < before
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let kept = if take(&mut words, "--channels") { KEPT_OF_MANY_CHANNELS } else { KEPT };
    let channels = Arc::new(Channels { kept, each: take(&mut words, "--each"), by_path: Mutex::default() });
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--port", port] => serve_tcp(port.parse().map_err(io::Error::other)?, channels).await,
        ["--unix", path] => serve_unix(path, channels).await,
        _ => Err(io::Error::other("usage: bench-tokio --port N | --unix PATH [--each] [--channels]")),
    }
}
