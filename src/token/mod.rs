//! Tokens: signed claims (JWT, RFC 7519) of what their bearer may do.
//!
//! Owns what a token is held against, in which order, and what it grants. Promises: whoever brings no good signature learns
//! nothing but that; a key is for one algorithm, its own; time is what the caller says; a token is neither kept nor told to
//! anybody. Leaves to others: where a token stands in a request, and what becomes of the refused.

mod bad_key;
pub(crate) mod claims;
pub(crate) mod crypto;
mod header;
pub(crate) mod jws;
pub(crate) mod keys;
pub(crate) mod object;
pub(crate) mod pem;

#[cfg(test)]
mod tests;

use self::{claims::Claims, jws::Jws};
use crate::rules::Pattern;
use std::time::Duration;

pub use self::{bad_key::BadKey, crypto::Algorithm, keys::Keys};

/// What a token is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// The keys; without any every token is refused.
    pub keys: Keys,
    /// Who must be among the audience, if anybody; one of these is enough.
    pub audience: Vec<Box<str>>,
    /// Who must have issued it, if anybody; one of these is enough.
    pub issuers: Vec<Box<str>>,
    /// By how much clocks may be apart.
    pub leeway: Duration,
    /// The query parameter in which a token may stand, if in any.
    pub query: Option<Box<str>>,
    /// The header in which a trusted proxy names the user, if it does.
    pub identity_header: Option<Box<str>>,
}

/// What a good token grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Paths on which its bearer may listen.
    pub subscribe: Vec<Pattern>,
    /// Paths on which its bearer may publish.
    pub publish: Vec<Pattern>,
    /// When it runs out, the leeway included, since 1970.
    pub ends: Option<Duration>,
    /// Its subject.
    pub subject: Option<Box<str>>,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is no token, or its claims are not what they should be.
    Malformed,
    /// Its algorithm is none of those that the keys are for.
    Algorithm,
    /// No key made its signature.
    Signature,
    /// It has run out.
    Expired,
    /// It holds later only.
    NotYet,
    /// It is for others.
    Audience,
    /// It is from others.
    Issuer,
}

impl TokenFault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::Algorithm,
        Self::Signature,
        Self::Expired,
        Self::NotYet,
        Self::Audience,
        Self::Issuer,
    ];

    /// Label of the counter of refusals.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet",
            Self::Audience => "token_audience",
            Self::Issuer => "token_issuer",
        }
    }

    /// What is wrong, for whoever brought it.
    pub fn description(self) -> &'static str {
        match self {
            Self::Malformed => "it is no JWT, or one of its claims is not of the right form",
            Self::Algorithm => "its algorithm is none of those that are taken here",
            Self::Signature => "no key that is known here made its signature",
            Self::Expired => "it has run out",
            Self::NotYet => "it does not hold yet",
            Self::Audience => "it is for another audience",
            Self::Issuer => "it is from another issuer",
        }
    }
}

impl Gate {
    /// Holds a token against the keys and the time since 1970. Says also how many signatures were looked at: each is work.
    pub fn judge(&self, token: &[u8], unix: Duration) -> (Result<Grant, TokenFault>, usize) {
        let mut tried = 0;
        let verdict = self.verdict(token, unix, &mut tried);
        (verdict, tried)
    }

    /// The key that signed, whether the token is good or not: its name and its algorithm.
    pub(crate) fn signer(&self, token: &Jws<'_>) -> Result<String, TokenFault> {
        self.keys.signer(token, &mut 0)
    }

    fn verdict(&self, token: &[u8], unix: Duration, tried: &mut usize) -> Result<Grant, TokenFault> {
        let token = Jws::read(token)?;
        self.keys.signer(&token, tried)?;
        Claims::read(&token.claims()?)?.hold(self, unix)
    }
}
