//! What a client sends, through the scanner and the decoder, one step at a time as the relay does it.

use std::hint::black_box;

use wsrelayd::{
    limits::Limits,
    pipe::Decoder,
    scanner::{FrameLimits, Scanner},
};

use crate::{Checked, Start, Work, Workload, field::compare, frames};

/// One message or control frame, again and again.
struct Decode {
    scanner: Scanner,
    decoder: Decoder,
    limits: FrameLimits,
    frame: Vec<u8>,
    /// What the decoder must make of it.
    payload: Vec<u8>,
    /// What it must answer each time.
    reply: Vec<u8>,
    output: Vec<u8>,
    repeats: usize,
    decoded: u64,
    decoded_bytes: u64,
}

impl Decode {
    fn start(input: &Input) -> Result<Self, String> {
        let Limits { max_message, max_frames, .. } = Limits::default();
        let mut work = Self {
            scanner: Scanner::default(),
            decoder: Decoder::new(max_message),
            limits: FrameLimits { max_message, max_frames },
            frame: (input.send)(&input.payload),
            payload: input.payload.clone(),
            reply: (input.reply)(&input.payload),
            output: Vec::new(),
            repeats: input.repeats,
            decoded: 0,
            decoded_bytes: 0,
        };
        work.try_out()?;
        Ok(work)
    }

    /// One message whose every byte is compared.
    fn try_out(&mut self) -> Checked {
        let (used, _) =
            self.scanner.scan(&self.frame, self.limits).map_err(|breach| format!("{breach:?}"))?;
        let decoded = self.decoder.decode(&self.frame[..used], &mut self.output);
        let message = decoded.map_err(|error| error.to_string())?.ok_or("no whole message")?;
        let is_right =
            used == self.frame.len() && message.into_data() == self.payload && self.output == self.reply;
        self.output.clear();
        if is_right { Ok(()) } else { Err("the message is not what was sent".into()) }
    }

    fn step(&mut self) {
        let frame = black_box(self.frame.as_slice());
        let Ok((used, _)) = self.scanner.scan(frame, self.limits) else { return };
        if let Ok(Some(message)) = self.decoder.decode(&frame[..used], &mut self.output) {
            self.decoded += 1;
            self.decoded_bytes += black_box(message).len() as u64;
        }
    }
}

impl Work for Decode {
    fn run(&mut self) -> u64 {
        for _ in 0..self.repeats {
            self.step();
            self.output.clear();
        }
        self.repeats as u64
    }

    fn check(&mut self) -> Checked {
        compare("bytes", self.decoded_bytes, self.decoded * self.payload.len() as u64)?;
        compare("messages", self.decoded % self.repeats as u64, 0)
    }
}

/// What is sent.
struct Input {
    name: &'static str,
    unit: &'static str,
    payload: Vec<u8>,
    send: fn(&[u8]) -> Vec<u8>,
    reply: fn(&[u8]) -> Vec<u8>,
    repeats: usize,
    /// The decoder's buffer is used again; the one that fragments are collected in grows by doubling.
    most_allocations: f64,
}

fn nothing(_: &[u8]) -> Vec<u8> {
    Vec::new()
}

fn pong(payload: &[u8]) -> Vec<u8> {
    [&[0x8A, payload.len() as u8], payload].concat()
}

fn inputs() -> [Input; 6] {
    let sent = |name, len, repeats| {
        let (payload, send, reply): (_, _, fn(&[u8]) -> _) =
            (frames::payload(0, 0, len), frames::binary, nothing);
        Input { name, unit: "message", payload, send, reply, repeats, most_allocations: 0.0 }
    };
    [
        sent("decode 64 B", 64, 4096),
        sent("decode 1 KiB", 1 << 10, 1024),
        sent("decode 16 KiB", 16 << 10, 64),
        Input {
            payload: frames::text(1 << 10),
            send: frames::text_message,
            ..sent("decode 1 KiB of text", 0, 1024)
        },
        Input {
            send: |payload| frames::fragments(payload, 16),
            most_allocations: 5.0,
            ..sent("decode 1 KiB in 16 frames", 1 << 10, 256)
        },
        Input { unit: "ping", send: frames::ping, reply: pong, ..sent("decode a ping", 4, 4096) },
    ]
}

pub fn workloads() -> Vec<Workload> {
    let workload = |input: Input| {
        let Input { name, unit, most_allocations, .. } = input;
        let start: Start = Box::new(move || Ok(Box::new(Decode::start(&input)?) as Box<dyn Work>));
        Workload { name, unit, rounds: 2, most_allocations, start }
    };
    inputs().into_iter().map(workload).collect()
}
