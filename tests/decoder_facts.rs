//! What tungstenite does when it is driven in the plain way, and our answer to each: every test first shows the
//! fact, so that it speaks up when the fact changes, and then the answer, so that it fails without it.

mod frames;

use frames::{MASK, frame, header_of_huge, plain, read_once, would_block};
use tungstenite::{Error, Message};
use wsrelayd::pipe::{DecodeError, Decoder};
use wsrelayd::scanner::{Breach, FrameLimits, Scanner, Step};

const MAX_MESSAGE: usize = 64 << 10;
const LIMITS: FrameLimits = FrameLimits { max_message: MAX_MESSAGE, max_frames: 100 };

#[test]
fn empty_fragments_hold_one_read_for_ever_but_are_counted() {
    let flood = [frame(0x01, b""), frame(0x00, b"").repeat(20_000)].concat();
    let (read, left) = read_once(&mut plain(Some(MAX_MESSAGE)), &flood, &mut Vec::new());
    assert!(would_block(&read) && left == 0, "one read takes all that comes");

    let mut scanner = Scanner::default();
    let hundred = 100 * frame(0x00, b"").len();
    assert_eq!(scanner.scan(&flood[..hundred], LIMITS), Ok((hundred, Step::More)));
    assert_eq!(scanner.scan(&flood[hundred..=hundred], LIMITS), Err(Breach::FragmentFlood));
}

#[test]
fn a_second_read_after_a_capacity_error_takes_what_was_refused_but_there_is_none() {
    let large = frame(0x82, &vec![7; MAX_MESSAGE + 1]);
    let (header, payload) = large.split_at(14);
    let mut context = plain(Some(MAX_MESSAGE));
    let (read, _) = read_once(&mut context, header, &mut Vec::new());
    assert!(matches!(read, Err(Error::Capacity(_))));
    let (read, left) = read_once(&mut context, &payload[..MAX_MESSAGE], &mut Vec::new());
    assert!(would_block(&read) && left == 0, "the frame just refused is taken all the same");
    assert!(read_once(&mut context, &payload[MAX_MESSAGE..], &mut Vec::new()).0.is_err());
    let later = frame(0x82, b"later");
    assert!(read_once(&mut context, &later, &mut Vec::new()).0.is_ok(), "and the connection goes on");

    let (mut decoder, mut output) = (Decoder::new(MAX_MESSAGE), Vec::new());
    assert_eq!(decoder.decode(header, &mut output), Err(DecodeError::Breach(Breach::TooBig)));
    for piece in payload.chunks(1000).chain([&later[..]]) {
        assert_eq!(decoder.decode(piece, &mut output), Err(DecodeError::Spent));
    }
    assert!(output.is_empty());
}

#[test]
fn frame_errors_queue_no_close_frame_but_each_has_its_code() {
    let table = [
        (frame(0xC1, b"a"), 1002),
        (frame(0x83, b"a"), 1002),
        (vec![0x81, 0x01, b'a'], 1002),
        (frame(0x09, b"a"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (frame(0x80, b"a"), 1002),
        ([frame(0x01, b"a"), frame(0x81, b"a")].concat(), 1002),
        (frame(0x88, b"\x03"), 1002),
        (frame(0x88, b"\x03\xE8\xFF"), 1007),
        (frame(0x81, b"\xFF"), 1007),
        ([frame(0x01, b"\xC3"), frame(0x80, b"")].concat(), 1007),
        (header_of_huge(1 << 32), 1009),
        ([frame(0x02, &[0; MAX_MESSAGE - 1]), frame(0x80, b"ab")].concat(), 1009),
    ];
    assert!(!table.is_empty());
    for (stream, code) in table {
        let head = &stream[..stream.len().min(20)];
        let mut output = Vec::new();
        let (read, _) = read_once(&mut plain(Some(MAX_MESSAGE)), &stream, &mut output);
        assert!(!would_block(&read) && read.is_err() && output.is_empty(), "{head:02x?}");

        let error = Decoder::new(MAX_MESSAGE).decode(&stream, &mut output).unwrap_err();
        assert_eq!((error.code(), output.len()), (code, 0), "{head:02x?}");
        let breach = Scanner::default().scan(&stream, LIMITS).unwrap_err();
        assert_eq!(breach.code(), code, "{head:02x?}");
    }
}

#[test]
fn a_pong_waits_for_the_next_read_but_ours_is_there_at_once() {
    let ping = frame(0x89, b"are you there?");
    let pong = [&[0x8A, 14][..], b"are you there?"].concat();
    let mut output = Vec::new();
    let (read, _) = read_once(&mut plain(None), &ping, &mut output);
    assert!(read.is_ok() && output.is_empty(), "nothing is written by the read that returns the ping");

    let mut decoder = Decoder::new(MAX_MESSAGE);
    assert!(decoder.decode(&ping, &mut output).is_ok_and(|message| message.is_some_and(|m| m.is_ping())));
    assert_eq!(output, pong);
    decoder.decode(&ping, &mut output).unwrap();
    assert_eq!(output, pong.repeat(2), "each pong once");
}

#[test]
fn the_longest_pong_fits_however_small_messages_must_be() {
    let mut output = Vec::new();
    Decoder::new(0).decode(&frame(0x89, &[5; 125]), &mut output).unwrap();
    assert_eq!(output, [&[0x8A, 125][..], &[5; 125]].concat());
}

#[test]
fn broken_text_waits_for_the_whole_frame_but_is_refused_at_its_byte() {
    let text = frame(0x81, b"broken at once: \xFF, and then much more to come");
    let bad = 6 + 16;
    let (read, _) = read_once(&mut plain(None), &text[..text.len() - 1], &mut Vec::new());
    assert!(would_block(&read), "tungstenite has not looked yet");

    let mut scanner = Scanner::default();
    assert_eq!(scanner.scan(&text[..bad], LIMITS), Ok((bad, Step::More)));
    assert_eq!(scanner.scan(&text[bad..=bad], LIMITS), Err(Breach::Utf8));
}

#[test]
fn tungstenite_would_answer_a_close_frame_but_we_do_that_ourselves() {
    let close = frame(0x88, b"\x03\xE8");
    let (mut context, mut output) = (plain(None), Vec::new());
    assert!(read_once(&mut context, &close, &mut output).0.is_ok_and(|message| message.is_close()));
    assert!(read_once(&mut context, b"", &mut output).0.is_err());
    assert_eq!(output, [0x88, 2, 0x03, 0xE8], "the next read answers");

    let (mut decoder, mut output) = (Decoder::new(MAX_MESSAGE), Vec::new());
    assert!(matches!(decoder.decode(&close, &mut output), Ok(Some(Message::Close(Some(_))))));
    assert_eq!(decoder.decode(b"", &mut output), Err(DecodeError::Spent));
    assert!(output.is_empty());
}

#[test]
fn more_than_one_step_at_once_is_our_own_fault_and_found() {
    let two = [frame(0x82, &[1; 600]), frame(0x82, &[2; 600])].concat();
    assert_eq!(Decoder::new(MAX_MESSAGE).decode(&two, &mut Vec::new()), Err(DecodeError::Fault));
    assert_eq!(DecodeError::Fault.code(), 1011);
}

#[test]
fn a_message_comes_whole_however_its_step_was_cut() {
    let payload = "für alle".repeat(1000);
    let bytes = payload.as_bytes();
    let stream = [frame(0x01, &bytes[..2]), frame(0x00, b""), frame(0x80, &bytes[2..])].concat();
    for size in [1, 2, 7, 511, 512, 513, stream.len()] {
        let (mut decoder, mut output) = (Decoder::new(MAX_MESSAGE), Vec::new());
        let came: Vec<Message> =
            stream.chunks(size).filter_map(|piece| decoder.decode(piece, &mut output).unwrap()).collect();
        assert_eq!(came, [Message::text(payload.clone())], "pieces of {size}");
    }
}

/// Address space of this process, in bytes.
#[cfg(target_os = "linux")]
fn address_space() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let size = pages.split(' ').next().and_then(|size| size.parse::<usize>().ok());
    size.expect("the first number, in pages") * 4096
}

#[test]
#[cfg(target_os = "linux")]
fn a_header_reserves_what_it_declares_but_no_more_than_the_limit() {
    const PEERS: usize = 512;
    const DECLARED: usize = 16 << 20;
    let header = header_of_huge(DECLARED as u64);
    assert_eq!(header.len(), 14);

    let before = address_space();
    let mut contexts: Vec<_> = (0..PEERS).map(|_| plain(None)).collect();
    for context in &mut contexts {
        assert!(would_block(&read_once(context, &header, &mut Vec::new()).0));
    }
    assert!(address_space() - before > PEERS * DECLARED / 2, "14 bytes each reserved 16 MiB each");
    drop(contexts);

    let before = address_space();
    let largest = [&[0x82, 0xFF][..], &(MAX_MESSAGE as u64).to_be_bytes(), &MASK].concat();
    let mut decoders: Vec<_> = (0..PEERS).map(|_| Decoder::new(MAX_MESSAGE)).collect();
    for (i, decoder) in decoders.iter_mut().enumerate() {
        let head = if i % 2 == 0 { &header } else { &largest };
        let decoded = decoder.decode(head, &mut Vec::new());
        assert_eq!(decoded.is_err(), i % 2 == 0);
    }
    // Other tests' threads take address space too, 128 MiB each at most.
    assert!(address_space().saturating_sub(before) < PEERS * DECLARED / 8);
    assert_eq!(Scanner::default().scan(&header, LIMITS), Err(Breach::TooBig));
}
