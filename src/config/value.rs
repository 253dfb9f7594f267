//! The forms of single values: sizes, durations, addresses, levels.
//!
//! Owns their parsing from text, each with the sentence that says what was expected. Ranges, and what values must be
//! to each other, are left to `rules.rs`.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use log::LevelFilter;
use serde::{Deserialize, Deserializer, de};

use crate::{limits::OnSlow, logging::Format};

/// A size: `"64 KiB"`, or a number of bytes.
#[derive(Debug, PartialEq)]
pub(super) struct Bytes(pub usize);

/// A duration: `"25s"`.
#[derive(Debug, PartialEq)]
pub(super) struct Span(pub Duration);

/// Where to listen: `"127.0.0.1:9310"`.
#[derive(Debug, PartialEq)]
pub(super) struct Address(pub SocketAddr);

/// What is logged: `"info"`.
#[derive(Debug, PartialEq)]
pub(super) struct Level(pub LevelFilter);

/// What becomes of slow peers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Policy {
    Disconnect,
    Skip,
}

impl From<Policy> for OnSlow {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Disconnect => Self::Disconnect,
            Policy::Skip => Self::Skip,
        }
    }
}

/// How a line of the log looks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    Auto,
    Human,
    Journal,
    Json,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Auto => Self::Auto,
            Form::Human => Self::Human,
            Form::Journal => Self::Journal,
            Form::Json => Self::Json,
        }
    }
}

impl Bytes {
    const EXPECTED: &str =
        "a size: a number of bytes, or a whole number with KiB, MiB or GiB, such as \"64 KiB\"";
}

impl FromStr for Bytes {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (count, unit) = text.split_at(unit_at);
        let shift = match unit.trim_start() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(()),
        };
        let count: usize = count.parse().map_err(drop)?;
        count.checked_mul(1 << shift).map(Self).ok_or(())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Bytes::EXPECTED)
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Bytes, E> {
                let size = usize::try_from(count);
                size.map(Bytes).map_err(|_| E::invalid_value(de::Unexpected::Signed(count), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                text.parse().map_err(|()| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        from.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected = "a duration with its unit, such as \"25s\", \"500ms\" or \"1m 30s\"";
        from_text(from, expected, |text| humantime::parse_duration(text).ok().map(Self))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from, ADDRESS_EXPECTED, |text| text.parse().ok().map(Self))
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected = "one of \"off\", \"error\", \"warn\", \"info\" and \"debug\"";
        from_text(from, expected, |text| level(text).map(Self))
    }
}

/// Not `trace`, which is not compiled in: it would format every frame.
fn level(text: &str) -> Option<LevelFilter> {
    match text {
        "off" => Some(LevelFilter::Off),
        "error" => Some(LevelFilter::Error),
        "warn" => Some(LevelFilter::Warn),
        "info" => Some(LevelFilter::Info),
        "debug" => Some(LevelFilter::Debug),
        _ => None,
    }
}

const ADDRESS_EXPECTED: &str = "an IP address and a port, such as \"127.0.0.1:9310\" or \"[::1]:9310\"";

/// An address as it stands in the arguments.
///
/// # Errors
/// What was expected.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("expected {ADDRESS_EXPECTED}"))
}

/// A value that is written as a string and nothing else.
fn from_text<'de, D: Deserializer<'de>, T>(
    from: D,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Visitor<P>(&'static str, P);

    impl<T, P: FnOnce(&str) -> Option<T>> de::Visitor<'_> for Visitor<P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            let Self(expected, parse) = self;
            parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &expected))
        }
    }

    from.deserialize_any(Visitor(expected, parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_exactly_or_not_at_all() {
        let table = [
            ("0", Ok(0)),
            ("65536", Ok(65536)),
            ("64 KiB", Ok(64 << 10)),
            ("64KiB", Ok(64 << 10)),
            ("1 MiB", Ok(1 << 20)),
            ("2 GiB", Ok(2 << 30)),
            ("7 B", Ok(7)),
            ("", Err(())),
            ("KiB", Err(())),
            ("64 KB", Err(())),
            ("64 kib", Err(())),
            ("1.5 MiB", Err(())),
            ("-1", Err(())),
            ("+1", Err(())),
            (" 1", Err(())),
            ("1 KiB ", Err(())),
            ("99999999999999999999", Err(())),
            ("18446744073709551615 KiB", Err(())),
            ("٣ KiB", Err(())),
        ];
        assert!(!table.is_empty());
        for (text, size) in table {
            assert_eq!(text.parse::<Bytes>().map(|size| size.0), size, "{text:?}");
        }
    }

    #[test]
    fn addresses_need_an_ip_and_a_port() {
        let table = [("127.0.0.1:0", true), ("[::1]:9310", true), ("localhost:9310", false), ("9310", false)];
        assert!(!table.is_empty());
        for (text, good) in table {
            assert_eq!(parse_address(text).is_ok(), good, "{text}");
        }
    }
}
