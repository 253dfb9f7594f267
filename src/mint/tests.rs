use super::*;
use crate::{
    limits::{Access, Limits},
    rules::{Rule, Rules},
    token::Gate,
};

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn test_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/token/testdata").join(format!("test-{name}.pem"))
}

/// A gate for the key of a file.
fn gate(name: &str) -> Gate {
    let mut gate = Gate { leeway: Duration::from_secs(30), ..Gate::default() };
    gate.keys.add("feed", &std::fs::read(test_file(name)).unwrap()).unwrap();
    gate
}

fn order(subscribe: &[&str], publish: &[&str]) -> Order {
    let [subscribe, publish] =
        [subscribe, publish].map(|list| list.iter().map(|p| p.parse().unwrap()).collect());
    Order { subscribe, publish, lasts: Duration::from_secs(3600), ..Order::default() }
}

/// What may be done on `/feed/...` by token only, on `/open` by anyone, on `/half` by token or anyone, on `/none` by nobody.
fn limits() -> Limits {
    let rule = |(pattern, subscribe, publish): (&str, Access, Access)| Rule {
        pattern: pattern.parse().unwrap(),
        limits: Limits { subscribe, publish, ..Limits::default() },
    };
    let rules = [
        ("/feed/**", Access::Token, Access::Token),
        ("/open", Access::Anyone, Access::Anyone),
        ("/half", Access::Anyone, Access::Token),
        ("/none", Access::Nobody, Access::Nobody),
    ];
    Limits { rules: Rules::new(rules.map(rule).into()).unwrap(), ..Limits::default() }
}

#[test]
fn what_is_made_is_good() {
    let table = ["key-rsa-2048", "key-p256", "key-ed25519"];
    assert!(!table.is_empty());
    for key in table {
        let order = Order {
            subject: Some("ann".into()),
            audience: vec!["relay".into()],
            issuer: Some("here".into()),
            key_id: Some("feed".into()),
            ..order(&["/feed/**"], &["/feed/a", "/feed/*/b"])
        };
        let token = make(&test_file(&format!("{key}-private")), &order, NOW).unwrap();
        let gate = Gate {
            audience: vec!["relay".into()],
            issuers: vec!["here".into()],
            ..gate(&format!("{key}-public"))
        };
        let (verdict, tried) = gate.judge(token.as_bytes(), NOW);
        let grant = verdict.unwrap();
        assert_eq!((grant.subscribe, grant.publish, tried), (order.subscribe, order.publish, 1));
        assert_eq!(
            (grant.subject.as_deref(), grant.ends),
            (Some("ann"), Some(NOW + Duration::from_secs(3630)))
        );
    }
}

#[test]
fn a_secret_is_new_each_time_and_signs() {
    let [one, other] = [secret().unwrap(), secret().unwrap()];
    assert_eq!((one.len(), one == other), (43, false));
    let file = std::env::temp_dir().join(format!("wsrelayd-mint-{}", std::process::id()));
    std::fs::write(&file, format!("{one}\n")).unwrap();
    let token = make(&file, &order(&[], &["/a"]), NOW);
    std::fs::remove_file(&file).unwrap();
    let judged = |secret: &str| {
        let mut gate = Gate::default();
        gate.keys.add("secret", secret.as_bytes()).unwrap();
        gate.judge(token.as_ref().unwrap().as_bytes(), NOW).0.is_ok()
    };
    assert!(judged(&one) && !judged(&other));
}

#[test]
fn what_does_not_sign_is_told_so() {
    let table = [
        ("key-ed25519-public", "expected a private key or a secret"),
        ("certificate", "expected a private key or a secret"),
        ("key-rsa-encrypted-private", "without a password"),
        ("key-rsa-2048-pkcs1-private", "openssl pkcs8 -topk8"),
        ("key-p256-sec1-private", "openssl pkcs8 -topk8"),
        ("key-p384-private", "of RSA (2048 to 4096 bits), P-256 or Ed25519"),
        ("no-such-key", "cannot read"),
    ];
    assert!(!table.is_empty());
    for (key, said) in table {
        let mistake = make(&test_file(key), &order(&["/a"], &[]), NOW).unwrap_err();
        assert!(mistake.to_string().contains(said) && mistake.is_of_arguments(), "{key}: {mistake}");
    }
    let long = "/x".repeat(120);
    let many = |n| Order { publish: vec![long.parse().unwrap(); n], ..Order::default() };
    let made = |n| make(&test_file("key-ed25519-private"), &many(n), NOW);
    assert!(matches!((made(20), made(40), made(65)), (Ok(_), Err(Mistake::Long), Err(Mistake::Paths))));
}

#[test]
fn a_look_tells_what_a_token_may_do() {
    let token = make(&test_file("key-p256-private"), &order(&["/feed/**"], &["/feed/a"]), NOW).unwrap();
    let at =
        |gate: &Gate, path, after| inspect(&token, gate, &limits(), path, NOW + Duration::from_secs(after));
    let gate = gate("key-p256-public");
    let other = super::tests::gate("key-ed25519-public");
    let both = "  subscribe: yes, by its /feed/**\n  publish:   yes, by its /feed/a\n";
    let table = [
        (
            at(&gate, None, 0),
            true,
            "signed by feed (ES256)\ngood now, and until 2027-01-15T09:00:30Z, in 1h 30s\n",
        ),
        (at(&gate, None, 0), true, "  may subscribe to /feed/**\n  may publish to /feed/a\n"),
        (at(&gate, None, 60), true, "exp        1800003600  (2027-01-15T09:00:00Z, in 59m)\n"),
        (at(&gate, None, 60), true, "iat        1800000000  (2027-01-15T08:00:00Z, 1m ago)\n"),
        (at(&gate, Some("/feed/a"), 0), true, both),
        (at(&gate, Some("/feed/a"), 0), true, "on /feed/a, under [[channel]] /feed/**\n"),
        (at(&gate, Some("/feed/b"), 0), true, "publish:   no: none of its patterns matches"),
        (at(&gate, Some("/open"), 0), true, "no token is looked at here"),
        (at(&gate, Some("/half"), 0), true, "subscribe: yes, as anyone may\n  publish:   no: none"),
        (at(&gate, Some("/none"), 0), false, "subscribe: no, as nobody may\n  publish:   no, as nobody may"),
        (at(&gate, Some("/other"), 0), false, "nothing, as no [[channel]] matches it (404)"),
        (at(&gate, Some("feed"), 0), false, "on feed: nothing, as no request can name such a path (400)"),
        (at(&gate, Some("/a?b"), 0), false, "on /a?b: nothing, as no request can"),
        (at(&gate, None, 3630), false, "refused: it has run out (exp; a leeway of 30s is allowed)"),
        (at(&gate, Some("/half"), 3630), false, "nothing, with this token (401)"),
        (at(&gate, Some("/open"), 3630), true, "publish:   yes, as anyone may"),
        (at(&other, None, 0), false, "no key is for its algorithm; there are feed (EdDSA)"),
        (
            at(&Gate::default(), None, 0),
            false,
            "there are no keys: name the files that hold them in token_keys",
        ),
    ];
    assert!(!table.is_empty());
    for (found, is_good, said) in table {
        assert!(found.is_good == is_good && found.text.contains(said), "{said}: {}", found.text);
    }
}

#[test]
fn a_look_tells_why_a_token_is_refused() {
    let key = test_file("key-ed25519-private");
    let signer = crate::token::keys::signer(&std::fs::read(key).unwrap()).unwrap();
    let gate = Gate {
        audience: vec!["relay".into()],
        issuers: vec!["here".into(), "there".into()],
        ..gate("key-ed25519-public")
    };
    let table = [
        (r#"{"nbf":1800000040}"#, "refused: it is not good yet (nbf; a leeway of 30s is allowed)"),
        (r#"{"aud":"x"}"#, "refused: its aud is \"x\"; token_audience asks for \"relay\""),
        (r#"{"aud":"relay"}"#, "refused: it has no iss; token_issuers asks for \"here\" or \"there\""),
        (r#"{"exp":"soon"}"#, "(no date: expected a number of seconds since 1970)"),
        (r#"{"exp":"soon"}"#, "refused: a claim is not what it should be"),
        (r#"{"exp":1800000000000}"#, "are these milliseconds?"),
        (r#"{"exp":-5}"#, "(before 1970)"),
        (r#"{"exp":99999999999}"#, "(5138-11-16T09:46:39Z, in "),
        ("{\"\\u001b[2J\":\"\\u202e\u{9b}\"}", "  \\u{1b}[2J  \"\\u{202e}\\u{9b}\"\n"),
    ];
    assert!(!table.is_empty());
    for (claims, said) in table {
        let token = signer.sign(None, &serde_json::from_str(claims).unwrap()).unwrap();
        let found = inspect(&token, &gate, &limits(), None, NOW);
        assert!(!found.text.contains(|letter: char| letter != '\n' && escape::is_unsafe(letter)));
        assert!(found.text.contains(said), "{said}: {}", found.text);
        let changed = token[..token.len() - 8].to_owned() + "AAAAAAAA";
        let found = inspect(&changed, &gate, &limits(), None, NOW);
        assert!(found.text.contains("its signature is by no key that was tried; there are feed (EdDSA)"));
    }
    for token in ["", "a.b.c", "x"] {
        let found = inspect(token, &gate, &limits(), None, NOW);
        assert!(!found.is_good && found.text.starts_with("refused: this is no token: expected three parts"));
    }
}
