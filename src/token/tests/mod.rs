//! Tokens of every kind, good and bad, and the reason for which each is refused.

mod smith;

use self::smith::{NOW, Smith, gate_of};
use super::Grant;
use std::time::Duration;

#[test]
fn each_algorithm_opens_the_gate() {
    let smiths = Smith::all();
    assert_eq!(smiths.len(), 4);
    let gate = gate_of(&smiths);
    for smith in &smiths {
        let token =
            smith.token(&smith.header(), r#"{"subscribe":["/feed/**"],"exp":1800000010.5,"sub":"ann"}"#);
        let grant = Grant {
            subscribe: vec!["/feed/**".parse().unwrap()],
            ends: Some(Duration::from_millis(1_800_000_040_500)),
            subject: Some("ann".into()),
            ..Grant::default()
        };
        assert_eq!(gate.judge(token.as_bytes(), Duration::from_secs(NOW)), (Ok(grant), 1));
    }
}
