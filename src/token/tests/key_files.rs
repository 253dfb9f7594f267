//! What a key file may hold, and what is said of everything else.

use super::smith::{self, NOW, RSA_PUBLIC, Smith, contents, pem};
use crate::token::{BadKey, Gate, Keys};
use std::time::Duration;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../testdata/test-", $name, ".pem"))
    };
}

/// What comes of one key file.
fn added(file: &[u8]) -> Result<String, BadKey> {
    let mut keys = Keys::default();
    keys.add("feed", file)?;
    Ok(keys.names().collect())
}

#[test]
fn a_key_is_for_the_algorithm_of_its_kind() {
    let without_line_end = RSA_PUBLIC.trim_end().as_bytes();
    let with_crlf = RSA_PUBLIC.replace('\n', "\r\n");
    let on_one_line = pem_on_one_line(&contents(RSA_PUBLIC));
    let indented = RSA_PUBLIC.replace('\n', "\n  ");
    let table: [(&str, &[u8]); 14] = [
        ("feed (RS256)", file!("key-rsa-2048-public")),
        ("feed (RS256)", file!("key-rsa-4096-public")),
        ("feed (RS256)", file!("key-rsa-2048-pkcs1-public")),
        ("feed (RS256)", without_line_end),
        ("feed (RS256)", with_crlf.as_bytes()),
        ("feed (RS256)", on_one_line.as_bytes()),
        ("feed (RS256)", indented.as_bytes()),
        ("feed (ES256)", file!("key-p256-public")),
        ("feed (EdDSA)", file!("key-ed25519-public")),
        ("feed (HS256)", &[0xFF; 32]),
        ("feed (HS256)", b"a secret that has spaces and is long enough\n"),
        ("feed (HS256)", b"0123456789abcdef0123456789abcdef\r\n"),
        ("feed (HS256)", b"-----BEGINNING of a secret, and nothing of PEM"),
        ("feed (HS256)", b"0 as DER begins, but not all of one element of it"),
    ];
    assert!(!table.is_empty());
    for (name, file) in table {
        assert_eq!(added(file).as_deref(), Ok(name), "{}", String::from_utf8_lossy(file));
    }
}

fn pem_on_one_line(der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----")
}

#[test]
fn what_openssl_writes_and_is_no_key_for_tokens_is_told_so() {
    let two = [&file!("key-p256-public")[..], file!("key-ed25519-public")].concat();
    let chain = [&file!("certificate")[..], file!("certificate")].concat();
    let both = [&file!("key-p256-public")[..], file!("key-p256-private")].concat();
    let table: Vec<(BadKey, Vec<u8>)> = vec![
        (BadKey::Private, file!("key-rsa-2048-private").into()),
        (BadKey::Private, file!("key-rsa-2048-pkcs1-private").into()),
        (BadKey::Private, file!("key-rsa-encrypted-private").into()),
        (BadKey::Private, file!("key-p256-private").into()),
        (BadKey::Private, file!("key-p256-sec1-private").into()),
        (BadKey::Private, file!("key-p256-with-parameters-private").into()),
        (BadKey::Private, file!("key-ed25519-private").into()),
        (BadKey::Certificate, file!("certificate").into()),
        (BadKey::RsaSize(1024), file!("key-rsa-1024-public").into()),
        (BadKey::Curve, file!("key-p384-public").into()),
        (BadKey::Compressed, file!("key-p256-compressed-public").into()),
        (BadKey::Kind, file!("key-rsa-pss-public").into()),
        (BadKey::Kind, file!("key-ed448-public").into()),
        (BadKey::Kind, file!("key-x25519-public").into()),
        (BadKey::Private, both),
        (BadKey::Certificate, chain),
        (BadKey::Several, two),
    ];
    assert!(table.len() >= 15);
    table.into_iter().for_each(check_refused);
}

#[test]
fn what_is_no_key_is_told_so() {
    let marked = [b"\xEF\xBB\xBF", &pem("PUBLIC KEY", &contents(RSA_PUBLIC))[..]].concat();
    let wide: Vec<u8> = RSA_PUBLIC.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = [&b"\xFF\xFE"[..], &wide].concat();
    let unended = RSA_PUBLIC.replace("-----END", "----END");
    let table: Vec<(BadKey, Vec<u8>)> = vec![
        (BadKey::Private, pem("OPENSSH PRIVATE KEY", b"anything")),
        (BadKey::Label("CERTIFICATE REQUEST".into()), pem("CERTIFICATE REQUEST", b"anything")),
        (BadKey::Label("PGP PUBLIC KEY BLOCK".into()), pem("PGP PUBLIC KEY BLOCK", b"anything")),
        (BadKey::Label("".into()), pem("", b"anything")),
        (BadKey::RsaSize(2047), rsa(&[&[0x7F_u8][..], &[0xFF; 255]].concat(), &[1, 0, 1])),
        (BadKey::RsaSize(8200), rsa(&[&[0x7F + 1, 0][..], &[0xFF; 1023]].concat(), &[3])),
        (BadKey::Mark, marked),
        (BadKey::Mark, wide),
        (BadKey::Json, br#"{"kty":"RSA","n":"AAAAAAAAAAAAAAAAAAAAAAAA","e":"AQAB"}"#.into()),
        (BadKey::Json, b"\n {\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}]}".into()),
        (BadKey::Der, contents(RSA_PUBLIC)),
        (BadKey::Der, contents(&String::from_utf8_lossy(file!("key-ed25519-public")))),
        (BadKey::Der, contents(&String::from_utf8_lossy(file!("key-p256-public")))),
        (BadKey::Der, bare(RSA_PUBLIC)),
        (BadKey::Der, bare(RSA_PUBLIC).into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect()),
        (BadKey::Broken, format!("KEY=\"{}\"", RSA_PUBLIC.replace('\n', "\\n")).into_bytes()),
        (BadKey::Ssh, b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAA ann@example".into()),
        (BadKey::Ssh, b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY ann@example".into()),
        (BadKey::Broken, unended.into_bytes()),
        (BadKey::Broken, b"-----BEGIN PUBLIC KEY-----\n".into()),
        (BadKey::Broken, pem("PUBLIC KEY", b"")),
        (BadKey::Broken, pem("PUBLIC KEY", b"no DER")),
        (BadKey::Broken, RSA_PUBLIC.replace("MIIB", "MII?").into_bytes()),
        (
            BadKey::Broken,
            RSA_PUBLIC
                .replacen("-----BEGIN PUBLIC", "\0\n-----BEGIN PUBLIC", 1)
                .replace("MIIB", "MIIC")
                .into(),
        ),
        (BadKey::Broken, [b"\xFF\n", RSA_PUBLIC.as_bytes()].concat()),
        (BadKey::Broken, smith::public_pem("302a300506032b6570032100", &[7; 31])),
        (BadKey::Broken, smith::public_pem("302a300506032b6570032101", &[7; 32])),
        (BadKey::Broken, smith::public_pem("302b300506032b6570032100", &[7; 33])),
        (BadKey::Broken, smith::public_pem("3059301306072a8648ce3d020106082a8648ce3d030107034200", &[7; 65])),
        (BadKey::Broken, rsa(&[0xFF; 256], &[])),
        (BadKey::Broken, rsa(&[0xFF; 256], &[1])),
        (BadKey::Broken, rsa(&[0xFF; 256], &[4])),
        (BadKey::Broken, rsa(&[0xFF; 256], &[2, 0, 0, 0, 1])),
        (BadKey::Broken, rsa(&[&[0xFF; 255][..], &[2]].concat(), &[3])),
        (BadKey::Short(0), Vec::new()),
        (BadKey::Short(0), b"\n".into()),
        (BadKey::Short(8), b"changeme\r\n".into()),
        (BadKey::Short(31), [b'x'; 31].into()),
        (BadKey::Short(31), [&[b'x'; 31][..], b"\n"].concat()),
        (BadKey::Long, vec![b'x'; 8193]),
    ];
    assert!(table.len() >= 35);
    table.into_iter().for_each(check_refused);
}

fn check_refused((fault, file): (BadKey, Vec<u8>)) {
    let start = String::from_utf8_lossy(&file[..file.len().min(120)]).into_owned();
    assert_eq!(added(&file), Err(fault.clone()), "{start}");
    let said = fault.to_string();
    assert!(said.starts_with("expected ") && said.contains('.') && !said.contains('\n'), "{said}");
}

/// PEM of an `RSAPublicKey` of these numbers, without leading zeros.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let number = |number: &[u8]| {
        let sign: &[u8] = if number.first().is_some_and(|high| *high > 0x7F) { &[0] } else { &[] };
        element(2, &[sign, number].concat())
    };
    pem("RSA PUBLIC KEY", &element(0x30, &[number(modulus), number(exponent)].concat()))
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let head = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [&head, contents].concat()
}

#[test]
fn the_line_end_of_a_secret_is_no_part_of_it_and_only_one_is_none() {
    let secret = *b"0123456789abcdef0123456789abcdef";
    let signs = |secret: &[u8], file: &[u8]| {
        let mut gate = Gate::default();
        gate.keys.add("secret", file).unwrap();
        let token = Smith::secret(secret).token(r#"{"alg":"HS256"}"#, "{}");
        gate.judge(token.as_bytes(), Duration::from_secs(NOW)).0.is_ok()
    };
    let with = |end: &[u8]| [&secret, end].concat();
    for end in [&b""[..], b"\n", b"\r\n"] {
        assert!(signs(&secret, &with(end)), "{end:?}");
    }
    assert!(signs(&with(b"\n"), &with(b"\n\n")) && !signs(&secret, &with(b"\n\n")));
    assert!(signs(&with(b"\r"), &with(b"\r")) && signs(&with(b" "), &with(b" \n")));
}

#[test]
fn there_are_sixteen_keys_at_most_and_no_name_twice() {
    let mut keys = Keys::default();
    for nth in 0..16_u8 {
        assert_eq!(keys.add(&nth.to_string(), &[b'A' + nth; 32]), Ok(()));
        assert_eq!(keys.len(), usize::from(nth) + 1);
        let twice = if nth < 15 { BadKey::NameTwice } else { BadKey::TooMany };
        assert_eq!(keys.add(&nth.to_string(), &[99; 32]), Err(twice));
    }
    assert_eq!((keys.len(), keys.is_empty()), (16, false));
}

#[test]
fn keys_are_equal_when_their_material_is_and_show_none_of_it() {
    let of = |name: &str, file: &[u8]| {
        let mut keys = Keys::default();
        keys.add(name, file).unwrap();
        keys
    };
    let secret = b"a secret that nobody is ever shown, not even in a log";
    let keys = of("feed", secret);
    assert_eq!(keys, of("feed", &[secret, &b"\n"[..]].concat()));
    assert_ne!(keys, of("food", secret));
    assert_ne!(keys, of("feed", b"a secret that nobody is ever shown, not even in a lug"));
    let [one, other] =
        [file!("key-rsa-2048-public"), file!("key-rsa-other-public")].map(|file| of("feed", file));
    assert_ne!(one, other);
    assert_eq!(one, of("feed", file!("key-rsa-2048-pkcs1-public")), "one key in two forms");
    let shown = format!("{:?}", Gate { keys, ..Gate::default() });
    assert!(shown.contains("[\"feed (HS256)\"]") && !shown.contains("nobody"), "{shown}");
}

/// What stands between the lines of PEM, as some programs show a key.
fn bare(pem: &str) -> Vec<u8> {
    pem.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\n").into_bytes()
}
