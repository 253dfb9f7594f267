//! A JSON object in which no name stands twice, and dates as tokens write them.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Names and values of an object. Two readers of a name that stands twice may take different values (RFC 7519 section 4):
/// such an object is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object(pub(crate) Map<String, Value>);

impl Object {
    /// What the bytes hold, if they are one object and nothing else.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
        let mut object = Map::new();
        while let Some((name, value)) = members.next_entry()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name that stands twice"));
            }
        }
        Ok(Object(object))
    }
}

/// Nanoseconds of a second.
pub(crate) const SECOND: i128 = 1_000_000_000;

/// Seconds beyond any date that matters; in nanoseconds still so far from the ends of an `i128` that sums stay within.
const FARTHEST: i128 = 1 << 70;

/// Nanoseconds since 1970 of a NumericDate (RFC 7519 section 2): whole or broken, before or after.
pub(crate) fn date(value: &Value) -> Option<i128> {
    let Value::Number(number) = value else { return None };
    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    whole.map(|seconds| seconds * SECOND).or_else(|| number.as_f64().map(broken))
}

/// Its seconds and its fraction apart: together they have more digits than an `f64`.
fn broken(seconds: f64) -> i128 {
    let whole = (seconds.trunc() as i128).clamp(-FARTHEST, FARTHEST);
    whole * SECOND + (seconds.fract() * SECOND as f64).round() as i128
}
