//! UTF-8 over a byte stream, masked or (with a mask of zeros) not, in pieces of any size.
//!
//! Owns one byte of state per text. Promises to refuse a text at the first byte that no valid text can have there
//! (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF), wherever the pieces are cut. Copies nothing.

/// Bytes looked at together when a text is ASCII.
const BLOCK: usize = 32;

/// The top bit of each byte: none is set in ASCII.
const NOT_ASCII: u64 = 0x8080_8080_8080_8080;

/// Where in a text the bytes so far end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Utf8 {
    /// A state, as the place of its six bits in each row of `ROWS`; `WHOLE` by default.
    state: u8,
}

// Nine states of six bits fit in one word, so that the next state is one load and one shift away.
/// Between characters.
const WHOLE: u8 = 0;
/// No valid text begins like this. Never left.
const BROKEN: u8 = 6;
/// One, two, three continuation bytes to come.
const ONE: u8 = 12;
const TWO: u8 = 18;
const THREE: u8 = 24;
/// After E0: an overlong form must not follow.
const AFTER_E0: u8 = 30;
/// After ED: a surrogate must not follow.
const AFTER_ED: u8 = 36;
/// After F0: an overlong form must not follow.
const AFTER_F0: u8 = 42;
/// After F4: nothing above U+10FFFF may follow.
const AFTER_F4: u8 = 48;

const STATES: [u8; 9] = [WHOLE, BROKEN, ONE, TWO, THREE, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4];

/// For each byte the next states, each at the place of the state before it.
static ROWS: [u64; 256] = rows();

const fn rows() -> [u64; 256] {
    let mut rows = [0; 256];
    let mut byte = 0;
    while byte < rows.len() {
        let mut i = 0;
        while i < STATES.len() {
            rows[byte] |= (next(STATES[i], byte as u8) as u64) << STATES[i];
            i += 1;
        }
        byte += 1;
    }
    rows
}

/// The table of RFC 3629 section 4.
const fn next(state: u8, byte: u8) -> u8 {
    match (state, byte) {
        (WHOLE, 0x00..=0x7F) | (ONE, 0x80..=0xBF) => WHOLE,
        (WHOLE, 0xC2..=0xDF) | (TWO, 0x80..=0xBF) => ONE,
        (AFTER_E0, 0xA0..=0xBF) | (AFTER_ED, 0x80..=0x9F) => ONE,
        (WHOLE, 0xE1..=0xEC | 0xEE..=0xEF) | (THREE, 0x80..=0xBF) => TWO,
        (AFTER_F0, 0x90..=0xBF) | (AFTER_F4, 0x80..=0x8F) => TWO,
        (WHOLE, 0xF1..=0xF3) => THREE,
        (WHOLE, 0xE0) => AFTER_E0,
        (WHOLE, 0xED) => AFTER_ED,
        (WHOLE, 0xF0) => AFTER_F0,
        (WHOLE, 0xF4) => AFTER_F4,
        _ => BROKEN,
    }
}

impl Utf8 {
    /// Passes a piece of the text, masked with `mask` from its first byte on (RFC 6455 5.3).
    /// False when no valid text begins like what has come.
    pub(crate) fn pass(&mut self, masked: &[u8], mask: [u8; 4]) -> bool {
        let key = u64::from(u32::from_ne_bytes(mask)) * 0x1_0000_0001;
        let (blocks, rest) = masked.as_chunks::<BLOCK>();
        for block in blocks {
            self.pass_words(block, key);
            if self.is_broken() {
                return false;
            }
        }
        self.pass_words(rest, key);
        !self.is_broken()
    }

    /// The text may end here.
    pub(crate) fn is_whole(self) -> bool {
        self.state == WHOLE
    }

    fn is_broken(self) -> bool {
        self.state == BROKEN
    }

    fn pass_words(&mut self, masked: &[u8], key: u64) {
        let (words, rest) = masked.as_chunks::<8>();
        let seen = words.iter().fold(0, |seen, word| seen | (u64::from_ne_bytes(*word) ^ key));
        if seen & NOT_ASCII != 0 || !self.is_whole() {
            words.iter().for_each(|word| self.pass_bytes(&(u64::from_ne_bytes(*word) ^ key).to_ne_bytes()));
        }
        for (byte, key) in rest.iter().zip(key.to_ne_bytes()) {
            self.pass_bytes(&[byte ^ key]);
        }
    }

    fn pass_bytes(&mut self, plain: &[u8]) {
        for byte in plain {
            self.state = (ROWS[usize::from(*byte)] >> self.state) as u8 & 63;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

    fn masked(plain: &[u8]) -> Vec<u8> {
        plain.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    }

    /// How many bytes are passed before the text is refused, byte by byte; `None` when it never is.
    fn refused_at(plain: &[u8]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        plain.iter().position(|byte| !utf8.pass(&[byte ^ 0x55], [0x55; 4]))
    }

    /// What the standard library says: the first byte that cannot be continued.
    fn refused_by_std(plain: &[u8]) -> Option<usize> {
        (1..=plain.len())
            .find(|&end| std::str::from_utf8(&plain[..end]).is_err_and(|e| e.error_len().is_some()))
            .map(|end| end - 1)
    }

    #[test]
    fn every_lead_and_second_byte_is_judged_like_the_standard_library_does() {
        for lead in 0..=255u8 {
            for second in 0..=255 {
                for text in [[lead, second, 0x80, 0x80], [lead, second, b'a', 0xBF]] {
                    assert_eq!(refused_at(&text), refused_by_std(&text), "{text:02x?}");
                }
            }
        }
    }

    #[test]
    fn a_cut_anywhere_changes_nothing() {
        let text = "plain ASCII of more than one block, ключ, 鍵, 🗝, and as much again of plain ASCII: κόσμε";
        let wire = masked(text.as_bytes());
        for cut in 0..=wire.len() {
            let mut utf8 = Utf8::default();
            let mut mask = MASK;
            assert!(utf8.pass(&wire[..cut], mask));
            assert_eq!(utf8.is_whole(), text.is_char_boundary(cut), "cut at {cut}");
            mask.rotate_left(cut % 4);
            assert!(utf8.pass(&wire[cut..], mask) && utf8.is_whole(), "cut at {cut}");
        }
    }

    #[test]
    fn a_broken_byte_is_seen_at_every_place_of_a_block() {
        for place in 0..3 * BLOCK {
            let mut text = vec![b'a'; 3 * BLOCK];
            text[place] = 0xFF;
            assert!(!Utf8::default().pass(&masked(&text), MASK), "byte {place}");
            assert!(Utf8::default().pass(&masked(&text[..place]), MASK), "up to byte {place}");
        }
    }
    #[test]
    fn two_broken_bytes_do_not_hide_each_other() {
        for place in 0..8 {
            let mut text = [b'a'; 2 * BLOCK];
            (text[place], text[place + 8]) = (0x80, 0x80);
            assert!(!Utf8::default().pass(&masked(&text), MASK), "bytes {place} and {}", place + 8);
        }
    }

    #[test]
    fn a_sign_that_was_begun_is_not_forgotten_over_plain_words() {
        for lead in [&b"\xC3"[..], b"\xE2\x82", b"\xF0\x9F"] {
            let mut utf8 = Utf8::default();
            assert!(utf8.pass(&masked(lead), MASK));
            let mut mask = MASK;
            mask.rotate_left(lead.len() % 4);
            let plain: Vec<u8> =
                [b'a'; 2 * BLOCK].iter().zip(mask.iter().cycle()).map(|(a, key)| a ^ key).collect();
            assert!(!utf8.pass(&plain, mask), "after {lead:02x?}");
        }
    }
}
