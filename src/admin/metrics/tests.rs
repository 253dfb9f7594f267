//! What is served as metrics, read again; and the README's table of them.

use super::*;
use crate::{
    admin::{PerSec, Tally},
    limits::Limits,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime},
};

#[allow(clippy::disallowed_methods, reason = "a test begins somewhere")]
fn served(form: Exposition) -> String {
    let mut relay = Relay::<()>::new(Limits::default(), 1, Instant::now());
    for micros in [20, 21, 19_999, 3_000_000] {
        relay.note_turn(Duration::from_micros(micros), Duration::ZERO);
    }
    let circumstances = Circumstances {
        draining: false,
        pid: 7,
        started_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500),
        uptime: Duration::from_secs(1),
        rates: PerSec::default(),
        accept_troubles: (1, 2),
        reloads: (3, 4),
        log_dropped: 5,
        listen: &[],
        desk: &Tally::default(),
    };
    text(&relay, &circumstances, form)
}

fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

/// The type of each metric, and the names of its labels.
fn shapes(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut shapes: BTreeMap<_, _> =
        types.map(|(name, kind)| (name.to_owned(), (kind.to_owned(), BTreeSet::new()))).collect();
    for line in samples(text) {
        let (sample, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let family = if shapes.contains_key(family) { family } else { name };
        let (_, known) = shapes.get_mut(family).unwrap_or_else(|| panic!("{name} has no type"));
        let keys = labels.split(',').filter_map(|label| label.split_once('=')).map(|(key, _)| key);
        known.extend(keys.filter(|key| *key != "le").map(str::to_owned));
    }
    shapes
}

#[test]
fn both_forms_have_the_same_samples() {
    let (new, old) = (served(Exposition::OpenMetrics), served(Exposition::Plain));
    assert_eq!(samples(&new), samples(&old));
    assert!(samples(&new).len() > 100, "{new}");
    assert!(new.ends_with("\n# EOF\n") && !old.contains("# EOF"), "{new}");
    for (text, line) in [
        (&new, "# TYPE wsrelayd_opened counter"),
        (&new, "# TYPE wsrelayd_build info"),
        (&old, "# TYPE wsrelayd_opened_total counter"),
        (&old, "# TYPE wsrelayd_build_info gauge"),
        (&old, "wsrelayd_reloads_total{result=\"refused\"} 4"),
        (&old, "wsrelayd_log_dropped_total 5"),
        (&old, "wsrelayd_disconnects_total{reason=\"operator\"} 0"),
        (&old, "wsrelayd_start_time_seconds 1700000000.5"),
        (&old, concat!("wsrelayd_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")),
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
}

#[test]
fn a_histogram_adds_up() {
    let text = served(Exposition::Plain);
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse::<f64>().unwrap()
    };
    let table = [
        ("wsrelayd_turn_seconds_bucket{le=\"0.00002\"}", 1.0),
        ("wsrelayd_turn_seconds_bucket{le=\"0.00005\"}", 2.0),
        ("wsrelayd_turn_seconds_bucket{le=\"0.01\"}", 2.0),
        ("wsrelayd_turn_seconds_bucket{le=\"0.02\"}", 3.0),
        ("wsrelayd_turn_seconds_bucket{le=\"1.0\"}", 3.0),
        ("wsrelayd_turn_seconds_bucket{le=\"+Inf\"}", 4.0),
        ("wsrelayd_turn_seconds_count", 4.0),
        ("wsrelayd_turn_seconds_sum", 3.02004),
        ("wsrelayd_longest_turn_seconds", 3.0),
        ("wsrelayd_turns_total", 4.0),
        ("wsrelayd_lag_bytes_bucket{le=\"1048576.0\"}", 0.0),
    ];
    assert!(!table.is_empty());
    for (name, wanted) in table {
        assert!((number(name) - wanted).abs() < 1e-9, "{name}: {}", number(name));
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test begins somewhere")]
fn every_total_is_a_metric() {
    let relay = Relay::<()>::new(Limits::default(), 1, Instant::now());
    let totals: Vec<_> = relay.counters().totals().into_iter().map(|(name, _)| name).collect();
    assert!(totals.len() > 30, "{totals:?}");
    let [totals, named] = [totals, table::totals_named()].map(BTreeSet::from_iter);
    assert_eq!(totals, named);
}

#[test]
fn the_readme_has_every_metric_with_its_type_and_its_labels() {
    let readme = include_str!("../../../README.md");
    let cell =
        |text: &str| text.replace('`', "").split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>();
    let mut told = BTreeMap::new();
    for row in readme.lines().filter(|line| line.starts_with("| `wsrelayd_")) {
        let cells = row.split('|').collect::<Vec<_>>();
        assert!(cells.len() == 6 && !cells[4].trim().is_empty(), "{row}");
        for name in cell(cells[1]) {
            let labels = cell(cells[3]).into_iter().filter(|label| !label.is_empty()).collect();
            assert!(told.insert(name, (cells[2].trim().to_owned(), labels)).is_none(), "twice: {row}");
        }
    }
    let served = shapes(&served(Exposition::Plain));
    assert!(served.len() > 50, "{served:?}");
    assert_eq!(told, served);
}
