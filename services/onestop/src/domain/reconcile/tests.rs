use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const DAY: Date = date(2026, 11, 23);
const NEXT: Date = date(2026, 11, 24);

/// With a platform that says of payments whether they went back.
fn reconcile(day: Date, ours: &[Ours], platform: &[Theirs], treasury: &[Theirs]) -> Outcome {
    super::reconcile(day, ours, (platform, true), treasury)
}

fn ours(number: u128, way: Way, amount_vnd: i64, day: Date) -> Ours {
    Ours {
        payment_id: Uuid::from_u128(number),
        case_id: Uuid::from_u128(number + 1_000),
        case_code: format!("H41.201-261123-{number:04}"),
        way,
        reference: format!("r{number}"),
        amount_vnd,
        day,
        returning: Returning::No,
    }
}

fn theirs(number: u128, amount_vnd: i64, day: Date) -> Theirs {
    Theirs {
        reference: format!("r{number}"),
        case_code: String::new(),
        amount_vnd,
        day: Some(day),
    }
}

fn kinds(outcome: &Outcome) -> Vec<(&str, DifferenceKind)> {
    let found = outcome.differences.iter();
    found.map(|found| (found.reference.as_str(), found.kind)).collect()
}

#[test]
fn what_all_sides_say_alike_agrees_and_cash_needs_no_platform() {
    let outcome = reconcile(
        DAY,
        &[ours(1, Way::Online, 8_000, DAY), ours(2, Way::Cash, 5_000, DAY)],
        &[theirs(1, 8_000, DAY)],
        &[theirs(1, 8_000, DAY), theirs(2, 5_000, DAY)],
    );
    assert_eq!(outcome.matched.len(), 2);
    assert!(outcome.differences.is_empty());
}

#[test]
fn every_kind_of_difference_is_found() {
    use DifferenceKind::{
        AmountAtPlatform, AmountInTreasury, DayAtPlatform, DayInTreasury, DoubleAtPlatform, DoubleInTreasury,
        MissingAtPlatform, MissingInTreasury, UnknownFromPlatform, UnknownFromTreasury,
    };
    let outcome = reconcile(
        DAY,
        &[
            ours(1, Way::Online, 8_000, DAY),
            ours(2, Way::Online, 8_000, DAY),
            ours(3, Way::Online, 8_000, DAY),
            ours(4, Way::Online, 8_000, DAY),
            ours(5, Way::Online, 8_000, NEXT),
        ],
        &[
            theirs(2, 9_000, DAY),
            theirs(3, 8_000, DAY),
            theirs(3, 8_000, DAY),
            theirs(4, 8_000, NEXT),
            theirs(5, 8_000, DAY),
            theirs(6, 8_000, DAY),
        ],
        &[
            theirs(2, 7_000, DAY),
            theirs(3, 8_000, DAY),
            theirs(3, 8_000, DAY),
            theirs(4, 8_000, NEXT),
            theirs(5, 8_000, DAY),
            theirs(7, 8_000, DAY),
        ],
    );
    assert!(outcome.matched.is_empty());
    assert_eq!(
        kinds(&outcome),
        [
            ("r1", MissingAtPlatform),
            ("r1", MissingInTreasury),
            ("r2", AmountAtPlatform),
            ("r2", AmountInTreasury),
            ("r3", DoubleAtPlatform),
            ("r3", DoubleInTreasury),
            ("r4", DayAtPlatform),
            ("r4", DayInTreasury),
            ("r5", DayAtPlatform),
            ("r5", DayInTreasury),
            ("r6", UnknownFromPlatform),
            ("r7", UnknownFromTreasury),
        ]
    );
}

#[test]
fn money_that_goes_back_is_compared_with_what_was_decided_here() {
    use DifferenceKind::{
        AmountAtPlatform, DayAtPlatform, DoubleAtPlatform, RefundMissing, RefundMissingInTreasury, RefundedAtPlatform,
        RefundedInTreasury, UnknownFromPlatform, UnknownFromTreasury,
    };
    let back = |number: u128, day: Date| theirs(number, -8_000, day);
    let was = |number: u128, way: Way, day: Date, returning: Returning| Ours {
        returning,
        ..ours(number, way, 8_000, day)
    };
    let made = Returning::Made(DAY);
    let mine = [
        // Given back by nobody's order of ours.
        was(1, Way::Online, DAY, Returning::No),
        // Given back here, and nowhere else.
        was(2, Way::Online, DAY, made),
        // On its way, and back already at the platform.
        was(3, Way::Online, DAY, Returning::Ordered),
        // Given back by all.
        was(4, Way::Online, DAY, made),
        was(5, Way::Cash, DAY, made),
        // Paid on another day.
        was(6, Way::Online, NEXT, made),
        was(7, Way::Online, NEXT, Returning::No),
        // Given back twice, of another amount, on another day.
        was(8, Way::Online, DAY, made),
        // Booked as given back, and never decided.
        was(9, Way::Cash, DAY, Returning::No),
    ];
    let came: Vec<Theirs> = (1..=5).chain([8, 9]).map(|n| theirs(n, 8_000, DAY)).collect();
    let of = |back: &[Theirs], without: &[u128]| {
        let without: Vec<String> = without.iter().map(|n| format!("r{n}")).collect();
        let came = came.iter().filter(|said| !without.contains(&said.reference)).cloned();
        came.chain(back.iter().cloned()).collect::<Vec<_>>()
    };
    let platform = of(
        &[
            back(1, NEXT),
            back(3, DAY),
            back(4, DAY),
            back(7, DAY),
            back(8, DAY),
            theirs(8, -1, NEXT),
            theirs(10, 8_000, DAY),
            back(10, DAY),
        ],
        &[5, 9],
    );
    let treasury = of(
        &[back(4, DAY), back(5, DAY), back(8, DAY), back(9, DAY), back(11, DAY)],
        &[],
    );
    let outcome = reconcile(DAY, &mine, &platform, &treasury);
    assert_eq!(
        kinds(&outcome),
        [
            ("r1", RefundedAtPlatform),
            ("r10", UnknownFromPlatform),
            ("r11", UnknownFromTreasury),
            ("r2", RefundMissing),
            ("r2", RefundMissingInTreasury),
            ("r6", RefundMissing),
            ("r7", RefundedAtPlatform),
            ("r8", AmountAtPlatform),
            ("r8", DoubleAtPlatform),
            ("r8", DayAtPlatform),
            ("r9", RefundedInTreasury),
        ]
    );
    let matched: Vec<Uuid> = outcome.matched.iter().map(|(_, payment)| *payment).collect();
    assert_eq!(matched, [3, 4, 5].map(Uuid::from_u128));
    let sides = &outcome.differences[0].sides;
    assert_eq!(
        (sides.our_vnd, sides.platform_vnd, sides.platform_day),
        (Some(8_000), Some(-8_000), Some(NEXT))
    );
    let sides = &outcome.differences[3].sides;
    assert_eq!((sides.our_vnd, sides.platform_vnd), (Some(-8_000), None));
}

#[test]
fn what_a_platform_does_not_say_is_no_difference() {
    let was = |number: u128, day: Date, returning: Returning| Ours {
        returning,
        ..ours(number, Way::Online, 8_000, day)
    };
    let mine = [
        was(1, DAY, Returning::Made(NEXT)),
        was(2, NEXT, Returning::Made(DAY)),
        was(3, NEXT, Returning::No),
    ];
    // Without times: it lists what was settled on the day, and what it gave back on it.
    let untimed = |number: u128, amount_vnd: i64| Theirs {
        day: None,
        ..theirs(number, amount_vnd, DAY)
    };
    let listed: Vec<Theirs> = [1, 2, 4]
        .into_iter()
        .flat_map(|number| [untimed(number, 8_000), untimed(number, -8_000)])
        .collect();
    let booked = [theirs(1, 8_000, DAY), theirs(2, 8_000, NEXT), theirs(2, -8_000, DAY)];
    let outcome = reconcile(DAY, &mine, &listed, &booked);
    assert_eq!(kinds(&outcome), [("r4", DifferenceKind::UnknownFromPlatform)]);
    assert_eq!(outcome.matched, [(mine[0].case_id, mine[0].payment_id)]);
    // Without states: that a payment went back is nowhere in the list.
    let listed = [theirs(1, 8_000, DAY)];
    let outcome = super::reconcile(DAY, &mine, (&listed, false), &booked);
    assert!(kinds(&outcome).is_empty(), "{:?}", kinds(&outcome));
    assert_eq!(outcome.matched, [(mine[0].case_id, mine[0].payment_id)]);
    let outcome = reconcile(DAY, &mine, &listed, &booked);
    assert_eq!(
        kinds(&outcome),
        [
            ("r1", DifferenceKind::RefundMissing),
            ("r2", DifferenceKind::RefundMissing)
        ]
    );
}

#[test]
fn the_kinds_of_money_that_went_back_have_the_codes_that_an_index_names() {
    let returns = DifferenceKind::ALL.into_iter().filter(|kind| kind.is_return());
    let codes: Vec<i16> = returns.map(DifferenceKind::code).collect();
    assert_eq!(codes, [12, 14]);
}

#[test]
fn what_the_treasury_booked_for_another_case_does_not_agree() {
    let paid = [ours(1, Way::Cash, 8_000, DAY), ours(2, Way::Cash, 8_000, DAY)];
    let booked = |number: u128, code: &str| Theirs {
        case_code: code.to_owned(),
        ..theirs(number, 8_000, DAY)
    };
    let outcome = reconcile(
        DAY,
        &paid,
        &[],
        &[booked(1, &paid[1].case_code), booked(2, &paid[1].case_code)],
    );
    assert_eq!(outcome.matched, [(paid[1].case_id, paid[1].payment_id)]);
    assert_eq!(kinds(&outcome), [("r1", DifferenceKind::CaseInTreasury)]);
    let sides = &outcome.differences[0].sides;
    assert_eq!(sides.treasury_case.as_ref(), Some(&paid[1].case_code));
}

#[test]
fn a_file_that_is_given_again_repeats_and_one_that_says_a_line_twice_does_not() {
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (a, b) = (theirs(1, 8_000, DAY), theirs(2, 5_000, DAY));
    let again = [(first, a.clone()), (second, a.clone()), (second, b.clone())];
    assert_eq!(merged(again), [a.clone(), b.clone()]);
    let twice = [(first, a.clone()), (first, a.clone()), (second, a.clone())];
    assert_eq!(merged(twice), [a.clone(), a.clone()]);
    let corrected = Theirs {
        amount_vnd: 9_000,
        ..a.clone()
    };
    assert_eq!(
        merged([(first, a.clone()), (second, corrected.clone())]),
        [a, corrected],
        "another amount is another line"
    );
}

#[test]
fn what_another_file_repeats_does_not_rest_on_the_one_that_is_taken_back() {
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (a, b) = (theirs(1, 8_000, DAY), theirs(2, 5_000, DAY));
    let morning_and_whole_day = [(first, a.clone()), (second, a.clone()), (second, b.clone())];
    assert!(resting_on(first, &morning_and_whole_day).is_empty());
    let alone = |reference: &str| BTreeSet::from([reference.to_owned()]);
    assert_eq!(resting_on(second, &morning_and_whole_day), alone("r2"));
    let twice = [(first, a.clone()), (second, a.clone()), (second, a.clone())];
    assert_eq!(
        resting_on(second, &twice),
        alone("r1"),
        "it was booked twice by it alone"
    );
    let corrected = [(first, a.clone()), (second, theirs(1, 9_000, DAY))];
    assert_eq!(resting_on(first, &corrected), alone("r1"));
}

#[test]
fn what_was_kept_before_cases_were_compared_is_read_as_it_was() {
    let kept = r#"{"our_vnd":8000,"platform_vnd":null,"treasury_vnd":null,"our_day":"2026-11-23","platform_day":null,"treasury_day":null}"#;
    let sides: Sides = serde_json::from_str(kept).unwrap();
    assert_eq!(sides.treasury_case, None);
    assert_eq!(serde_json::to_string(&sides).unwrap(), kept);
}

/// What each side has of each reference: amount, below 0 for what went back, and day.
fn side() -> impl Strategy<Value = Vec<(u128, i64, bool)>> {
    let amount = prop_oneof![1..3_i64, -2..0_i64];
    proptest::collection::vec((1..6_u128, amount, any::<bool>()), 0..8)
}

fn returning() -> impl Strategy<Value = Returning> {
    prop_oneof![
        Just(Returning::No),
        Just(Returning::Ordered),
        Just(Returning::Made(DAY)),
        Just(Returning::Made(NEXT)),
    ]
}

proptest! {
    /// A second, plain reading: something rests on a file exactly if it says a line more often than every other file does.
    #[test]
    fn what_rests_on_a_file_is_what_it_says_more_often_than_any_other(
        said in proptest::collection::vec((1..4_u128, 1..4_u128, 1..3_i64), 0..16),
        taken_back in 1..4_u128,
    ) {
        let lines: Vec<(Uuid, Theirs)> = said
            .iter()
            .map(|(file, n, amount)| (Uuid::from_u128(*file), theirs(*n, *amount, DAY)))
            .collect();
        let often = |file: u128, n: u128, amount: i64| {
            said.iter().filter(|line| **line == (file, n, amount)).count()
        };
        let expected: BTreeSet<String> = (1..4_u128)
            .filter(|n| {
                (1..3_i64).any(|amount| {
                    let of_others = (1..4_u128).filter(|file| *file != taken_back);
                    let most = of_others.map(|file| often(file, *n, amount)).max().unwrap_or_default();
                    often(taken_back, *n, amount) > most
                })
            })
            .map(|n| format!("r{n}"))
            .collect();
        prop_assert_eq!(resting_on(Uuid::from_u128(taken_back), &lines), expected);
    }

    /// A second, plain reading: a payment agrees exactly if each side that must have it has it once, alike, and what the sides say went
    /// back of it is what was decided here; whatever else a side says of the day, or we have of it, is named by at least one difference.
    #[test]
    fn everything_either_agrees_or_is_named(
        mine in proptest::collection::btree_map(1..6_u128, (any::<bool>(), 1..3_i64, any::<bool>(), returning()), 0..5),
        platform in side(),
        treasury in side(),
    ) {
        let at = |next: bool| if next { NEXT } else { DAY };
        let way = |online: bool| if online { Way::Online } else { Way::Cash };
        let mine: Vec<Ours> = mine
            .iter()
            .map(|(n, (online, amount, next, returning))| Ours {
                returning: *returning,
                ..ours(*n, way(*online), *amount, at(*next))
            })
            .collect();
        let read = |side: &[(u128, i64, bool)]| side.iter().map(|(n, amount, next)| theirs(*n, *amount, at(*next))).collect::<Vec<_>>();
        let (platform, treasury) = (read(&platform), read(&treasury));
        let outcome = reconcile(DAY, &mine, &platform, &treasury);
        let named = |reference: &str| outcome.differences.iter().any(|found| found.reference == reference);
        for one in mine.iter().filter(|one| one.day == DAY) {
            let alike = |side: &[Theirs], must_have: bool| {
                let of_one: Vec<&Theirs> = side.iter().filter(|said| said.reference == one.reference).collect();
                let (back, came): (Vec<&Theirs>, Vec<&Theirs>) = of_one.into_iter().partition(|said| said.amount_vnd < 0);
                let whole = back.len() <= 1 && back.iter().all(|said| said.amount_vnd == -one.amount_vnd);
                let returned = match one.returning {
                    Returning::No => back.is_empty(),
                    Returning::Ordered => whole,
                    Returning::Made(made) => {
                        whole && back.iter().all(|said| said.day == Some(made)) && (back.len() == 1 || !must_have)
                    }
                };
                came.len() == 1 && came[0].amount_vnd == one.amount_vnd && came[0].day == Some(DAY) && returned
            };
            // The treasury need not have booked on this day what goes back on another one.
            let in_treasury = alike(&treasury, one.returning == Returning::Made(DAY));
            let agrees = in_treasury && (one.way == Way::Cash || alike(&platform, true));
            prop_assert_eq!(outcome.matched.contains(&(one.case_id, one.payment_id)), agrees);
            if !agrees {
                prop_assert!(named(&one.reference));
            }
        }
        for side in [&platform, &treasury] {
            for said in side.iter().filter(|said| said.day == Some(DAY)) {
                // What went back as it was decided here is nothing to be named.
                let decided = said.amount_vnd < 0
                    && mine.iter().any(|one| {
                        let is_made = matches!(one.returning, Returning::Ordered | Returning::Made(DAY));
                        one.reference == said.reference && one.amount_vnd == -said.amount_vnd && is_made
                    });
                let cash_back_at_platform = said.amount_vnd < 0
                    && mine.iter().any(|one| one.reference == said.reference && one.way == Way::Cash);
                let matched = outcome.matched.iter().any(|(_, id)| mine.iter().any(|one| one.payment_id == *id && one.reference == said.reference));
                let cash_at_platform = mine.iter().any(|one| one.reference == said.reference && one.way == Way::Cash && one.day == DAY);
                prop_assert!(matched || named(&said.reference) || cash_at_platform || decided || cash_back_at_platform);
            }
        }
        let mut keys: Vec<_> = outcome.differences.iter().map(|found| (&found.reference, found.kind)).collect();
        let all = keys.len();
        keys.dedup();
        prop_assert_eq!(keys.len(), all, "one difference a reference and kind");
    }
}
