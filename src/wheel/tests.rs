//! The wheel against a sorted map, and each of its promises over all slots.

use super::*;
use proptest::prelude::*;

#[allow(clippy::disallowed_methods)]
fn start() -> Instant {
    Instant::now()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn advance<T: Copy>(wheel: &mut Wheel<T>, now: Instant) -> Vec<(T, Tick)> {
    let mut due = Vec::new();
    wheel.advance(now, &mut due);
    due
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(tape in proptest::collection::vec(any::<u8>(), 1..900)) {
        model::play(&tape, start());
    }
}

#[test]
fn from_every_slot_an_entry_is_never_early_and_less_than_a_tick_late() {
    let mut checked = 0;
    for first in (0..1100).map(|tick| tick * 100 + 37) {
        for after in [1, 62, 63, 64, 99, 100, 163, 6_400, 51_200, 102_263, 102_300] {
            let start = start();
            let mut wheel = Wheel::new(start);
            advance(&mut wheel, start + ms(first));
            let at = first + after;
            let tick = wheel.insert((), start + ms(at));
            let next = wheel.next().unwrap();
            assert!(next >= start + ms(at) && next < start + ms(at + 100), "{first} + {after}");
            assert_eq!(advance(&mut wheel, next - ms(1)), []);
            assert_eq!(advance(&mut wheel, next), [((), tick)]);
            assert!(wheel.is_empty() && wheel.next().is_none());
            checked += 1;
        }
    }
    assert_eq!(checked, 12_100);
}

#[test]
fn each_pair_of_slots_comes_up_in_order() {
    let mut checked = 0;
    for passed in [0, 1, 63, 64, 65, 1000, 1023, 1024, 5000] {
        for (a, b) in (1..=1024).step_by(31).flat_map(|a| (1..=1024).map(move |b| (a, b))) {
            let start = start();
            let mut wheel = Wheel::new(start);
            advance(&mut wheel, start + TICK * passed);
            wheel.insert('a', start + TICK * (passed + a));
            wheel.insert('b', start + TICK * (passed + b));
            assert_eq!(wheel.next(), Some(start + TICK * (passed + a.min(b))));
            let due: String =
                advance(&mut wheel, start + TICK * (passed + 1024)).iter().map(|d| d.0).collect();
            assert_eq!(due, if b < a { "ba" } else { "ab" });
            checked += 1;
        }
    }
    assert!(checked > 300_000);
}

#[test]
fn a_time_beyond_the_rim_comes_up_at_the_rim_and_can_be_put_back() {
    let start = start();
    let mut wheel = Wheel::new(start);
    let at = start + Duration::from_secs(1000);
    wheel.insert((), at);
    let mut asked = 0;
    while let Some(next) = wheel.next().filter(|&next| next < at) {
        assert_eq!(advance(&mut wheel, next).len(), 1);
        wheel.insert((), at);
        asked += 1;
    }
    assert_eq!((asked, wheel.next()), (9, Some(at)));
}

#[test]
fn a_long_sleep_hands_out_everything_once_and_costs_no_more_than_a_round() {
    for sleep in [Duration::from_secs(3600 * 5), Duration::from_secs(1 << 40)] {
        let start = start();
        let mut wheel = Wheel::new(start);
        for item in 0..10_000u64 {
            wheel.insert(item, start + ms(item * 13));
        }
        // A walk over every tick would not come back: the longer sleep is 10^13 of them.
        let due = advance(&mut wheel, start + sleep);
        assert!(due.is_sorted_by_key(|entry| (entry.1, entry.0)));
        assert_eq!(due.len(), 10_000);
        assert!(wheel.is_empty() && advance(&mut wheel, start + sleep * 2).is_empty());
        let tick = wheel.insert(0, start + sleep * 2 + ms(50));
        assert_eq!(advance(&mut wheel, start + sleep * 2 + TICK), [(0, tick)]);
    }
}

#[test]
fn a_time_already_past_comes_up_at_the_next_new_tick_and_not_before() {
    let start = start();
    let mut wheel = Wheel::new(start);
    let now = start + ms(5_050);
    let mut due = advance(&mut wheel, now);
    assert!(due.is_empty());
    let tick = wheel.insert('a', start);
    assert_eq!(wheel.tick_of(now), tick);
    for again in [now, now + ms(49), start, now - ms(1000)] {
        wheel.advance(again, &mut due);
        assert!(due.is_empty());
    }
    wheel.advance(now + ms(50), &mut due);
    assert_eq!(due, [('a', tick)]);
}

#[test]
fn what_is_due_is_appended() {
    let start = start();
    let mut wheel = Wheel::new(start);
    let mut due = vec![('x', NEVER)];
    let tick = wheel.insert('a', start);
    wheel.advance(start + TICK, &mut due);
    assert_eq!(due, [('x', NEVER), ('a', tick)]);
    assert!(tick < NEVER);
}

#[test]
fn the_ends_of_the_clock_do_not_panic() {
    let now = start();
    let (first, last) = model::ends_of_clock(now);
    assert!(last.checked_add(Duration::from_secs(1)).is_none() && first < now);
    let mut handed_out = 0;
    for (start, at, end) in
        [(first, last, last), (first, now, last), (now, last, last), (last, first, last), (last, last, first)]
    {
        let mut wheel = Wheel::new(start);
        assert!(wheel.insert((), at) < NEVER);
        assert!(wheel.next().is_some());
        handed_out += advance(&mut wheel, end).len();
        assert!(wheel.insert((), last) < NEVER && wheel.insert((), first) < NEVER);
        assert!(wheel.next().is_some());
        handed_out += advance(&mut wheel, first).len();
    }
    assert_eq!(handed_out, 3);
}

#[test]
fn cleared_it_has_nobody_and_goes_on() {
    let start = start();
    let at = |ticks: u32| start + TICK * ticks;
    let (mut wheel, mut due) = (Wheel::new(start), Vec::new());
    for n in 0..2000 {
        wheel.insert(n, at(n));
    }
    wheel.advance(at(500), &mut due);
    due.clear();
    wheel.clear();
    assert_eq!((wheel.len(), wheel.next()), (0, None));
    wheel.advance(at(600), &mut due);
    assert_eq!(due, []);
    let tick = wheel.insert(7, at(700));
    assert_eq!((wheel.len(), wheel.next()), (1, Some(at(700))));
    wheel.advance(at(700), &mut due);
    assert_eq!(due, [(7, tick)]);
}
