//! Names for peers that survive the reuse of slots.
//!
//! Owns the packing of a slot and its serial into one word, which is what mio hands back with an event. A slot does
//! not see the same serial again before four thousand million connections have come and gone, so an event, timer or
//! list entry of a peer that has left finds nobody, and never the peer that took its slot.

use std::{fmt, str::FromStr};

const _: () = assert!(usize::BITS >= 64, "an event carries a slot and a serial of 32 bits each");

/// A peer's name: the slot it lives in, and the serial that tells it from earlier tenants of that slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

impl PeerId {
    /// The word that stands for this id in an event: the serial above, the slot below.
    pub fn to_word(self) -> usize {
        (self.serial as usize) << 32 | self.slot as usize
    }

    /// The id that `to_word` packed.
    pub fn from_word(word: usize) -> Self {
        Self { slot: word as u32, serial: (word >> 32) as u32 }
    }

    /// Appends what `Display` says; every handshake does, and goes without the machinery of formatting.
    pub(crate) fn write_to(self, bytes: &mut Vec<u8>) {
        write_number(self.slot, bytes);
        bytes.push(b'.');
        write_number(self.serial, bytes);
    }
}

fn write_number(mut number: u32, bytes: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    while number > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    bytes.extend_from_slice(&digits[at..]);
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.serial)
    }
}

impl FromStr for PeerId {
    type Err = ();

    /// The id that is written so, and in no other way.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (slot, serial) = text.split_once('.').ok_or(())?;
        let id = Self { slot: slot.parse().map_err(drop)?, serial: serial.parse().map_err(drop)? };
        if id.to_string() == text { Ok(id) } else { Err(()) }
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_one_slot_and_one_serial() {
        for (slot, serial) in [(0, 0), (1, 0), (0, 1), (u32::MAX, 7), (7, u32::MAX)] {
            let id = PeerId { slot, serial };
            assert_eq!(PeerId::from_word(id.to_word()), id);
        }
    }

    #[test]
    fn a_name_is_read_as_it_is_written_and_in_no_other_way() {
        for (slot, serial) in [(0, 0), (12, 3), (u32::MAX, u32::MAX)] {
            let id = PeerId { slot, serial };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let table = [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "+1.2",
            "1.+2",
            "01.2",
            "1.2.3",
            "1.2 ",
            "-1.2",
            "1.4294967296",
            "a.b",
        ];
        assert!(!table.is_empty());
        table.iter().for_each(|text| assert_eq!(text.parse::<PeerId>(), Err(()), "{text}"));
    }

    #[test]
    fn a_name_is_written_as_it_is_displayed() {
        let numbers = [0, 1, 9, 10, 99, 100, 12_345, 999_999_999, 1_000_000_000, u32::MAX];
        for (slot, serial) in numbers.into_iter().flat_map(|slot| numbers.map(|serial| (slot, serial))) {
            let id = PeerId { slot, serial };
            let mut bytes = b"x".to_vec();
            id.write_to(&mut bytes);
            assert_eq!(bytes, format!("x{id}").into_bytes());
        }
    }
}
