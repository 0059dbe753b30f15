//! Quyết định về hồ sơ trùng: what officers decided of pairs of records, and who is whom by it. No record is changed by a decision, so each can be taken
//! back: the last one on a pair counts, and what follows from all that count is worked out anew.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an officer decided of two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Cùng một người: they are merged.
    Same,
    /// Hai người khác nhau: they are not brought forward again.
    Different,
    /// An earlier decision is taken back; the pair is open again.
    Open,
}

/// One decision. It is kept for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// One of the two.
    pub one: Uuid,
    /// The other one.
    pub other: Uuid,
    /// What was decided.
    pub verdict: Verdict,
    /// Why: never empty.
    pub reason: String,
    /// Who decided.
    pub decided_by: Uuid,
    /// When.
    pub time: Timestamp,
}

/// Why a decision is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulingRefused {
    /// A record is no pair.
    #[error("a record is compared with itself")]
    Oneself,
    /// Nobody knows later why.
    #[error("a decision gives its reason")]
    NoReason,
    /// There is nothing to take back.
    #[error("there is no decision to be taken back")]
    NothingToTakeBack,
    /// By other decisions that count the two are two people.
    #[error("by other decisions the two are two people")]
    Contradiction,
}

impl RulingRefused {
    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::Oneself => "không thể so sánh một hồ sơ với chính nó",
            Self::NoReason => "quyết định phải nêu lý do",
            Self::NothingToTakeBack => "không có quyết định để huỷ",
            Self::Contradiction => "trái với quyết định khác đang có hiệu lực",
        }
    }
}

/// The decisions that count.
#[derive(Clone, Debug, Default)]
pub struct Rulings(BTreeMap<(Uuid, Uuid), Verdict>);

fn pair(one: Uuid, other: Uuid) -> (Uuid, Uuid) {
    (one.min(other), one.max(other))
}

impl Rulings {
    /// What counts of decisions, in the order in which they were taken.
    pub fn of<'a>(rulings: impl IntoIterator<Item = &'a Ruling>) -> Self {
        let mut counting = Self::default();
        for ruling in rulings {
            counting.put(ruling);
        }
        counting
    }

    fn put(&mut self, ruling: &Ruling) {
        let of = pair(ruling.one, ruling.other);
        match ruling.verdict {
            Verdict::Open => self.0.remove(&of),
            decided => self.0.insert(of, decided),
        };
    }

    /// What was decided of a pair itself.
    pub fn verdict(&self, one: Uuid, other: Uuid) -> Option<Verdict> {
        self.0.get(&pair(one, other)).copied()
    }

    /// All records of the person of whom this one is.
    pub fn person(&self, record: Uuid) -> BTreeSet<Uuid> {
        let mut found = BTreeSet::from([record]);
        let mut next = vec![record];
        while let Some(one) = next.pop() {
            for (&(left, right), verdict) in &self.0 {
                let beside = if left == one {
                    right
                } else if right == one {
                    left
                } else {
                    continue;
                };
                if *verdict == Verdict::Same && found.insert(beside) {
                    next.push(beside);
                }
            }
        }
        found
    }

    /// Adds a decision.
    ///
    /// # Errors
    /// [`RulingRefused`]; then nothing has changed.
    pub fn decide(&mut self, ruling: &Ruling) -> Result<(), RulingRefused> {
        if ruling.one == ruling.other {
            return Err(RulingRefused::Oneself);
        }
        if ruling.reason.trim().is_empty() {
            return Err(RulingRefused::NoReason);
        }
        if ruling.verdict == Verdict::Open && self.verdict(ruling.one, ruling.other).is_none() {
            return Err(RulingRefused::NothingToTakeBack);
        }
        let mut after = self.clone();
        after.put(ruling);
        if !after.is_consistent_about(ruling.one) {
            return Err(RulingRefused::Contradiction);
        }
        *self = after;
        Ok(())
    }

    /// True if no two records of the person of whom this one is were decided to be of two people.
    fn is_consistent_about(&self, record: Uuid) -> bool {
        let person = self.person(record);
        !self.0.iter().any(|((one, other), verdict)| {
            *verdict == Verdict::Different && person.contains(one) && person.contains(other)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORDS: u128 = 6;

    fn record(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn ruling(one: u128, other: u128, verdict: Verdict) -> Ruling {
        Ruling {
            one: record(one),
            other: record(other),
            verdict,
            reason: "đã đối chiếu giấy tờ".to_owned(),
            decided_by: record(99),
            time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_refusal_has_its_reason_and_changes_nothing() {
        let mut rulings = Rulings::default();
        rulings.decide(&ruling(1, 2, Verdict::Same)).unwrap();
        rulings.decide(&ruling(2, 3, Verdict::Same)).unwrap();
        let silent = Ruling {
            reason: " ".to_owned(),
            ..ruling(1, 4, Verdict::Same)
        };
        for (wrong, refused) in [
            (ruling(1, 1, Verdict::Same), RulingRefused::Oneself),
            (silent, RulingRefused::NoReason),
            (ruling(1, 4, Verdict::Open), RulingRefused::NothingToTakeBack),
            (ruling(1, 3, Verdict::Different), RulingRefused::Contradiction),
        ] {
            assert_eq!(rulings.decide(&wrong), Err(refused));
            assert!(!refused.vi().is_empty());
        }
        assert_eq!(rulings.person(record(3)).len(), 3);
        rulings.decide(&ruling(2, 1, Verdict::Open)).unwrap();
        rulings.decide(&ruling(1, 3, Verdict::Different)).unwrap();
        assert_eq!(rulings.person(record(1)).len(), 1);
    }

    fn verdicts() -> impl Strategy<Value = Vec<Ruling>> {
        let verdict = prop::sample::select(vec![Verdict::Same, Verdict::Same, Verdict::Different, Verdict::Open]);
        let one = (0..RECORDS, 1..RECORDS, verdict);
        prop::collection::vec(one, 0..20).prop_map(|all| {
            all.into_iter()
                .map(|(one, apart, verdict)| ruling(one, (one + apart) % RECORDS, verdict))
                .collect()
        })
    }

    proptest! {
        /// The slow way: a table of who is whom, closed over every third record, over the last decision on each pair.
        #[test]
        fn who_is_whom_follows_from_the_last_decision_on_each_pair(rulings in verdicts()) {
            let counting = Rulings::of(&rulings);
            let all: Vec<Uuid> = (0..RECORDS).map(record).collect();
            let decided_same = |one: Uuid, other: Uuid| {
                let of_pair = |ruling: &&Ruling| (ruling.one, ruling.other) == (one, other) || (ruling.other, ruling.one) == (one, other);
                one == other || rulings.iter().rev().find(of_pair).is_some_and(|last| last.verdict == Verdict::Same)
            };
            let mut same: BTreeSet<(Uuid, Uuid)> = all.iter().flat_map(|one| all.iter().map(move |other| (*one, *other))).filter(|(one, other)| decided_same(*one, *other)).collect();
            for third in &all {
                for one in &all {
                    for other in &all {
                        if same.contains(&(*one, *third)) && same.contains(&(*third, *other)) {
                            same.insert((*one, *other));
                        }
                    }
                }
            }
            for one in &all {
                let expected: BTreeSet<Uuid> = all.iter().filter(|other| same.contains(&(*one, **other))).copied().collect();
                prop_assert_eq!(counting.person(*one), expected);
            }
        }

        #[test]
        fn a_merge_that_is_taken_back_leaves_everybody_who_he_was(rulings in verdicts(), one in 0..RECORDS, apart in 1..RECORDS) {
            let mut before = Rulings::default();
            for ruling in &rulings {
                // Refused ones change nothing.
                let _ = before.decide(ruling);
            }
            let other = (one + apart) % RECORDS;
            prop_assume!(before.verdict(record(one), record(other)).is_none());
            let mut after = before.clone();
            if after.decide(&ruling(one, other, Verdict::Same)).is_ok() {
                prop_assert!(after.person(record(one)).contains(&record(other)));
                prop_assert_eq!(after.decide(&ruling(other, one, Verdict::Open)), Ok(()));
            }
            for number in 0..RECORDS {
                prop_assert_eq!(after.person(record(number)), before.person(record(number)));
            }
        }
    }
}
