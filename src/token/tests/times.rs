//! When a token holds: to the nanosecond, with a leeway on both sides, by the clock that is given.

use super::{
    case::{Bench, Case},
    smith::{NOW, Smith, gate_of},
};
use crate::token::{
    Gate,
    TokenFault::{self, Expired, NotYet},
};
use std::time::Duration;

/// A claim, the milliseconds from `NOW` to when it is judged, the leeway in seconds, and the verdict.
const TABLE: &[(&str, i64, u64, Result<(), TokenFault>)] = &[
    ("\"exp\":1800000000", -1, 0, Ok(())),
    ("\"exp\":1800000000", 0, 0, Err(Expired)),
    ("\"exp\":1800000000", 1, 0, Err(Expired)),
    ("\"exp\":1800000000", 0, 30, Ok(())),
    ("\"exp\":1800000000", 29_999, 30, Ok(())),
    ("\"exp\":1800000000", 30_000, 30, Err(Expired)),
    ("\"exp\":1800000000", 0, 1, Ok(())),
    ("\"exp\":1800000000", 999, 1, Ok(())),
    ("\"exp\":1800000000", 1000, 1, Err(Expired)),
    ("\"exp\":1800000000.0", 0, 0, Err(Expired)),
    ("\"exp\":1800000000.5", 499, 0, Ok(())),
    ("\"exp\":1800000000.5", 500, 0, Err(Expired)),
    ("\"exp\":1800000000.5", 1499, 1, Ok(())),
    ("\"exp\":1800000000.5", 1500, 1, Err(Expired)),
    ("\"exp\":1.8e9", -1, 0, Ok(())),
    ("\"exp\":1.8e9", 0, 0, Err(Expired)),
    ("\"exp\":0", 0, 30, Err(Expired)),
    ("\"exp\":-0.0", 0, 30, Err(Expired)),
    ("\"exp\":-1", 0, 30, Err(Expired)),
    ("\"exp\":-1e300", 0, 30, Err(Expired)),
    ("\"exp\":-9223372036854775808", 0, 30, Err(Expired)),
    ("\"exp\":1e-300", 0, 30, Err(Expired)),
    ("\"exp\":1799999970", 0, 30, Err(Expired)),
    ("\"exp\":1799999971", 0, 30, Ok(())),
    ("\"exp\":9999999999", 0, 0, Ok(())),
    ("\"exp\":1800000000000", 0, 0, Ok(())),
    ("\"exp\":9223372036854775807", 0, 30, Ok(())),
    ("\"exp\":1.7976931348623157e308", 0, 30, Ok(())),
    ("\"nbf\":1800000000", 0, 0, Ok(())),
    ("\"nbf\":1800000000", -1, 0, Err(NotYet)),
    ("\"nbf\":1800000000", -30_000, 30, Ok(())),
    ("\"nbf\":1800000000", -30_001, 30, Err(NotYet)),
    ("\"nbf\":1800000000.5", 500, 0, Ok(())),
    ("\"nbf\":1800000000.5", 499, 0, Err(NotYet)),
    ("\"nbf\":1800000030", 0, 30, Ok(())),
    ("\"nbf\":1800000031", 0, 30, Err(NotYet)),
    ("\"nbf\":1800000000000", 0, 30, Err(NotYet)),
    ("\"nbf\":18446744073709551615", 0, 30, Err(NotYet)),
    ("\"nbf\":1e300", 0, 30, Err(NotYet)),
    ("\"nbf\":-5", 0, 0, Ok(())),
    ("\"exp\":1800000000,\"nbf\":1800000000", 0, 30, Ok(())),
    ("\"exp\":1800000000,\"nbf\":1800000000", 0, 0, Err(Expired)),
    ("\"exp\":1799999999,\"nbf\":1800000001", 0, 0, Err(Expired)),
    ("\"exp\":1800000001,\"nbf\":1800000002", 0, 0, Err(NotYet)),
    ("\"iat\":9999999999", 0, 0, Ok(())),
    ("\"exp\":1800000000", -1_799_999_999_999, 0, Ok(())),
    ("\"nbf\":1800000000", -1_799_999_999_999, 30, Err(NotYet)),
    ("\"exp\":-10", -1_800_000_000_000, 30, Ok(())),
    ("\"exp\":-30", -1_800_000_000_000, 30, Err(Expired)),
];

pub fn cases(bench: &Bench) -> Vec<Case> {
    bench.smiths.iter().flat_map(|smith| TABLE.iter().map(|row| case(smith, *row, bench))).collect()
}

fn case(
    smith: &Smith,
    (claim, millis, leeway, expected): (&str, i64, u64, Result<(), TokenFault>),
    bench: &Bench,
) -> Case {
    let gate = Gate { leeway: Duration::from_secs(leeway), ..gate_of([smith]) };
    let unix = Duration::from_millis((NOW as i64 * 1000 + millis) as u64);
    let what = format!("{}: {claim}, {millis} ms, leeway {leeway} s", smith.algorithm.name());
    let token = smith.token(&smith.header(), &format!("{{{claim}}}"));
    Case { gate, unix, expected, ..Case::new(what, token, bench) }
}

#[test]
fn a_grant_ends_with_the_leeway_or_never() {
    let smith = Smith::ed25519();
    let gate = gate_of([&smith]);
    let table = [
        ("{}", None),
        ("{\"exp\":1800000000}", Some(Duration::from_secs(1_800_000_030))),
        ("{\"exp\":1800000000.25}", Some(Duration::from_millis(1_800_000_030_250))),
        ("{\"exp\":99999999969}", Some(Duration::from_secs(99_999_999_999))),
        ("{\"exp\":99999999970}", None),
        ("{\"exp\":1800000000000}", None),
        ("{\"exp\":1e300}", None),
    ];
    assert!(!table.is_empty());
    for (payload, ends) in table {
        let token = smith.token(&smith.header(), payload);
        let (verdict, _) = gate.judge(token.as_bytes(), Duration::from_secs(NOW));
        assert_eq!(verdict.map(|grant| grant.ends), Ok(ends), "{payload}");
    }
}
