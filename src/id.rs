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
}
