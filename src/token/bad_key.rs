//! Why something is no key, and what to do about it.

use std::fmt;

/// Why something is no key for tokens. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// There are as many as there may be.
    TooMany,
    /// Another one is called so.
    NameTwice,
    /// Too long for any key.
    Long,
    /// A secret of so many bytes.
    Short(usize),
    /// It begins with a byte order mark.
    Mark,
    /// JSON: a JWK, most likely.
    Json,
    /// DER, without PEM around it.
    Der,
    /// A key as `ssh-keygen` writes it.
    Ssh,
    /// A private key.
    Private,
    /// A certificate.
    Certificate,
    /// More keys than one.
    Several,
    /// PEM of something else, with its label.
    Label(String),
    /// PEM that is damaged.
    Broken,
    /// An RSA key of so many bits.
    RsaSize(usize),
    /// A key on another curve than P-256.
    Curve,
    /// A point with one coordinate.
    Compressed,
    /// A key for some other algorithm.
    Kind,
    /// To sign with: a public key, or something else that is no private one.
    NotPrivate,
    /// To sign with: a private key behind a password.
    Encrypted,
    /// To sign with: a private key in an older form.
    NoPkcs8,
    /// To sign with: a private key of another kind or size.
    NoPen,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(length) => write!(f, "expected a secret of at least 32 bytes, not of {length}. ")?,
            Self::RsaSize(bits) => write!(f, "expected an RSA key of 2048 to 8192 bits, not of {bits}. ")?,
            Self::Label(label) => {
                let label = label.escape_default();
                write!(f, "expected PEM that begins with BEGIN PUBLIC KEY, not with BEGIN {label}. ")?;
            }
            _ => {}
        }
        f.write_str(self.said())
    }
}

const DER: &str = "expected a key in PEM, not in DER. Turn it into PEM: openssl pkey -pubin -inform DER -in FILE -out \
     PUBLIC.pem";
const SSH: &str = "expected a key in PEM, not one of SSH. Turn it into PEM (RSA and P-256 only): ssh-keygen -e -m \
     PKCS8 -f FILE > PUBLIC.pem";
const CERTIFICATE: &str = "expected a public key, not a certificate: nobody looks at its dates and issuer here. Take the key \
     out of it: openssl x509 -in FILE -pubkey -noout > PUBLIC.pem";
const COMPRESSED: &str = "expected a point with both coordinates. Write the key anew: openssl ec -pubin -in FILE -conv_form \
     uncompressed -pubout -out PUBLIC.pem";

impl BadKey {
    /// What is always the same of it.
    fn said(&self) -> &'static str {
        match self {
            Self::Short(_) => "`wsrelayd token secret` makes one",
            Self::RsaSize(_) => {
                "Make a new one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out PRIVATE.pem"
            }
            Self::Label(_) => "Write the public key with: openssl pkey -in FILE -pubout -out PUBLIC.pem",
            Self::Private => {
                "expected a public key, not a private one: the relay signs nothing. Give it the other half: openssl \
                 pkey -in FILE -pubout -out PUBLIC.pem"
            }
            Self::Curve => {
                "expected a key on the curve P-256 (for ES256), not on another. Make a new one: openssl genpkey \
                 -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out PRIVATE.pem"
            }
            Self::Kind => {
                "expected a key of RSA (for RS256), P-256 (ES256) or Ed25519 (EdDSA), not for something else. Make a \
                 new one: openssl genpkey -algorithm ED25519 -out PRIVATE.pem"
            }
            Self::NoPen => {
                "expected a private key of RSA (2048 to 4096 bits), P-256 or Ed25519. Make a new one: openssl genpkey \
                 -algorithm ED25519 -out PRIVATE.pem"
            }
            Self::TooMany => {
                "expected at most 16 keys. Take out those that no valid token is signed with any more"
            }
            Self::NameTwice => {
                "expected a name that no other key has (a file's, without its extension). Rename one of the two"
            }
            Self::Long => "expected a key, not a file of more than 8 KiB. See whether this is the right one",
            Self::Mark => "expected no byte order mark before the key. Save the file as plain ASCII",
            Self::Json => {
                "expected a public key in PEM or a secret, not JSON. Turn a JWK into PEM; of a secret one, take the \
                 bytes of its `k`"
            }
            Self::Der => DER,
            Self::Ssh => SSH,
            Self::Certificate => CERTIFICATE,
            Self::Several => "expected one key in a file, not several. Make a file of each",
            Self::Broken => {
                "expected a public key between the lines of PEM, and it is damaged. Compare with: openssl pkey \
                 -pubin -in FILE -text -noout"
            }
            Self::Compressed => COMPRESSED,
            Self::NotPrivate => "expected a private key or a secret to sign with: nothing else signs",
            Self::Encrypted => {
                "expected a private key without a password. Take it off: openssl pkey -in FILE -out PRIVATE.pem"
            }
            Self::NoPkcs8 => {
                "expected a private key that begins with BEGIN PRIVATE KEY. Write it anew: openssl pkcs8 -topk8 \
                 -nocrypt -in FILE -out PRIVATE.pem"
            }
        }
    }
}
