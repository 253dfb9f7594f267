//! One token, and what becomes of it.

use super::smith::{LEEWAY, NOW, Smith, gate_of};
use crate::token::{Gate, TokenFault};
use std::time::Duration;

/// What all tokens claim that are to be refused for something else.
pub const GOOD: &str = r#"{"iss":"https://issuer.example","aud":"relay","exp":1800000060,"nbf":1799999940,"subscribe":["/feed/**"],"publish":["/feed/a"],"sub":"ann"}"#;

pub struct Case {
    pub what: String,
    pub token: Vec<u8>,
    pub gate: Gate,
    pub unix: Duration,
    pub expected: Result<(), TokenFault>,
    /// Signatures that are computed for it.
    pub tried: usize,
}

impl Case {
    /// Before the gate that has all four keys and asks for audience and issuer.
    pub fn new(what: impl Into<String>, token: impl Into<Vec<u8>>, bench: &Bench) -> Self {
        Self {
            what: what.into(),
            token: token.into(),
            gate: bench.gate.clone(),
            unix: Duration::from_secs(NOW),
            expected: Ok(()),
            tried: 1,
        }
    }

    pub fn refused(self, fault: TokenFault, tried: usize) -> Self {
        Self { expected: Err(fault), tried, ..self }
    }

    /// It is judged as it should be.
    pub fn check(&self) {
        let (verdict, tried) = self.gate.judge(&self.token, self.unix);
        let token = String::from_utf8_lossy(&self.token[..self.token.len().min(500)]);
        assert_eq!((verdict.map(|_| ()), tried), (self.expected, self.tried), "{}: {token}", self.what);
    }
}

/// Who signs in all cases, and the gate that knows the first four of them.
pub struct Bench {
    pub smiths: Vec<Smith>,
    pub strangers: Vec<Smith>,
    pub gate: Gate,
}

impl Bench {
    pub fn new() -> Self {
        let [smiths, strangers] = [Smith::all(), Smith::strangers()];
        let names = |names: [&str; 2]| names.map(Into::into).to_vec();
        let gate = Gate {
            audience: names(["relay", "relay-2"]),
            issuers: names(["https://issuer.example", "https://other.example"]),
            leeway: Duration::from_secs(LEEWAY),
            ..gate_of(&smiths)
        };
        Self { smiths, strangers, gate }
    }
}
