//! Đối soát: what the province has of a case against what the portal has, and what may be done about a difference.

use egov_partners::portal::{DATE_FIELDS, FieldDifference, STATE_FIELD};
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::delivery::State;

/// The longest period of one reconciliation, in days.
pub(crate) const MOST_DAYS: i32 = 31;

/// The kind of the leaves of a reconciliation. A kind of its own beside [`OLDER_RUN`], which the log commits to: what is recorded now
/// cannot be passed off as what was not kept then.
pub(crate) const RUN: &str = "portal_reconciliation_change";

/// The kind of the leaves of a reconciliation from before each of its changes was kept.
pub(crate) const OLDER_RUN: &str = "portal_reconciliation";

/// The kind of the leaves of a difference.
pub(crate) const DIFFERENCE: &str = "portal_difference";

/// Where a reconciliation is. The numbers are those of the contract and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    Queued = 1,
    Done = 2,
    Failed = 3,
}

impl RunState {
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        [Self::Queued, Self::Done, Self::Failed]
            .into_iter()
            .find(|state| *state as i16 == number)
    }
}

/// A reconciliation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reconciliation {
    pub(crate) id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) from: Date,
    pub(crate) to: Date,
    pub(crate) repair: bool,
    pub(crate) daily: bool,
    pub(crate) state: RunState,
    pub(crate) tally: Tally,
    pub(crate) attempts: i32,
    pub(crate) problem: String,
    pub(crate) due_time: Timestamp,
    pub(crate) actor: String,
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
    pub(crate) end_time: Option<Timestamp>,
}

/// What a reconciliation came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) compared: i32,
    pub(crate) equal: i32,
    pub(crate) waiting: i32,
    pub(crate) differing: i32,
    pub(crate) not_comparable: i32,
    pub(crate) looked_for_unknown: bool,
}

/// Why a period is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAPeriod {
    /// It ends before it begins.
    Backwards,
    /// It ends after today.
    ToCome,
    /// It is longer than is compared at once.
    TooLong,
}

/// Whether these days are a period that may be compared today.
pub(crate) fn check_period(from: Date, to: Date, today: Date) -> Result<(), NotAPeriod> {
    if to < from {
        return Err(NotAPeriod::Backwards);
    }
    if to > today {
        return Err(NotAPeriod::ToCome);
    }
    let days = (to - from).get_days();
    if days < MOST_DAYS {
        Ok(())
    } else {
        Err(NotAPeriod::TooLong)
    }
}

/// The period of the daily reconciliation that ends with `to`: so many days, and those before that none has compared since `last` ended,
/// if days were missed; at most [`MOST_DAYS`] in all.
pub(crate) fn daily_period(to: Date, days: u8, last: Option<Date>) -> (Date, Date) {
    let back = |days: i32| to.checked_sub((days - 1).days()).unwrap_or(to);
    let as_set = back(i32::from(days).clamp(1, MOST_DAYS));
    let not_compared = last.and_then(|last| last.tomorrow().ok()).unwrap_or(as_set);
    (as_set.min(not_compared).max(back(MOST_DAYS)), to)
}

/// Of so many equal shares, the one whose turn is on a day; none if there are no shares. In as many days as there are shares each comes up
/// once, also over a year's end.
pub(crate) fn turn_of(day: Date, shares: u8) -> Option<(i32, i32)> {
    let shares = i32::from(shares);
    let days = (day - date(2000, 1, 1)).get_days();
    (shares > 0).then(|| (shares, days.rem_euclid(shares)))
}

/// In what both sides differ. The numbers are those of the contract and the database; the first that fits is the gravest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    MissingThere = 1,
    StateDiffers = 2,
    DateDiffers = 3,
    ContentDiffers = 4,
    UnknownHere = 5,
}

impl Kind {
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        [
            Self::MissingThere,
            Self::StateDiffers,
            Self::DateDiffers,
            Self::ContentDiffers,
            Self::UnknownHere,
        ]
        .into_iter()
        .find(|kind| *kind as i16 == number)
    }
}

/// What became of a difference, as it is stored. The numbers are those of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handling {
    Open = 1,
    HandedIn = 2,
    Settled = 3,
}

impl Handling {
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        [Self::Open, Self::HandedIn, Self::Settled]
            .into_iter()
            .find(|handling| *handling as i16 == number)
    }
}

/// What was found of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// The portal's names of the fields.
    pub(crate) fields: Vec<String>,
    /// A state or a date, or empty.
    pub(crate) ours: String,
    pub(crate) theirs: String,
    /// Whether handing the case in again can mend it. A generation of the portal's contract that never changes what a dossier says
    /// leaves differences that nothing of ours can mend.
    pub(crate) mendable: bool,
}

impl Finding {
    /// The portal does not have the case.
    pub(crate) fn missing(our_state: &str) -> Self {
        Self {
            kind: Kind::MissingThere,
            fields: Vec::new(),
            ours: our_state.to_owned(),
            theirs: String::new(),
            mendable: true,
        }
    }

    /// Only the portal has it, in this state.
    pub(crate) fn unknown_here(their_state: &str) -> Self {
        Self {
            kind: Kind::UnknownHere,
            fields: Vec::new(),
            ours: String::new(),
            theirs: short(their_state),
            mendable: false,
        }
    }

    /// What fields that differ come to; none if none does. Values of other fields than the state and the dates are left out: they may be
    /// personal data.
    pub(crate) fn of_fields(differing: &[FieldDifference], mendable: bool) -> Option<Self> {
        let state = differing.iter().find(|one| one.field == STATE_FIELD);
        let date = differing.iter().find(|one| DATE_FIELDS.contains(&one.field.as_str()));
        let (kind, shown) = match (state, date, differing.first()) {
            (Some(state), ..) => (Kind::StateDiffers, Some(state)),
            (None, Some(date), _) => (Kind::DateDiffers, Some(date)),
            (None, None, Some(_)) => (Kind::ContentDiffers, None),
            (None, None, None) => return None,
        };
        let value = |of: fn(&FieldDifference) -> &str| shown.map(|one| short(of(one))).unwrap_or_default();
        Some(Self {
            kind,
            fields: differing.iter().map(|one| one.field.clone()).collect(),
            ours: value(|one| &one.ours),
            theirs: value(|one| &one.theirs),
            mendable,
        })
    }
}

/// A state or a date is short; what is not came from outside and is neither.
fn short(value: &str) -> String {
    value.chars().filter(|letter| !letter.is_control()).take(20).collect()
}

/// A difference as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) id: Uuid,
    pub(crate) reconciliation_id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) case_code: String,
    pub(crate) case_id: Option<Uuid>,
    pub(crate) finding: Finding,
    pub(crate) handling: Handling,
    pub(crate) delivery_id: Option<Uuid>,
    /// Where the repair is: that delivery, or what was told of the case after it, if it did not go through itself.
    pub(crate) delivery_state: Option<State>,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) version: i64,
    pub(crate) find_time: Timestamp,
    pub(crate) update_time: Timestamp,
}

/// What became of a difference, with what became of the delivery that should repair it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    Repairing,
    Repaired,
    /// The delivery failed or was given up, and nothing that was told of the case later went through.
    RepairFailed,
    Settled,
}

/// Why nothing is done about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// It is being repaired, was repaired, or was settled.
    Closed,
    /// Handing the case in again cannot mend it.
    NotRepairable,
}

impl Difference {
    pub(crate) fn etag(&self) -> String {
        format!("{}-{}", self.id, self.version)
    }

    /// What became of it.
    pub(crate) fn standing(&self) -> Standing {
        match (self.handling, self.delivery_state) {
            (Handling::Open, _) => Standing::Open,
            (Handling::Settled, _) => Standing::Settled,
            (Handling::HandedIn, Some(State::Acknowledged)) => Standing::Repaired,
            (Handling::HandedIn, Some(State::Failed | State::Dead)) => Standing::RepairFailed,
            (Handling::HandedIn, _) => Standing::Repairing,
        }
    }

    /// Whether the case may be handed in again for it.
    pub(crate) fn may_be_repaired(&self) -> Result<(), NotDone> {
        match (self.standing(), self.case_id) {
            (Standing::Repairing | Standing::Repaired | Standing::Settled, _) => Err(NotDone::Closed),
            (Standing::Open | Standing::RepairFailed, Some(_)) if self.finding.mendable => Ok(()),
            (Standing::Open | Standing::RepairFailed, _) => Err(NotDone::NotRepairable),
        }
    }

    /// The case was handed in again.
    pub(crate) fn handed_in(&mut self, (delivery_id, state): (Uuid, State), actor: &str, now: Timestamp) {
        self.handling = Handling::HandedIn;
        self.delivery_id = Some(delivery_id);
        self.delivery_state = Some(state);
        self.touch(actor, now);
    }

    /// Somebody settles it by hand.
    pub(crate) fn settle(&mut self, reason: &str, actor: &str, now: Timestamp) -> Result<(), NotDone> {
        if !matches!(self.standing(), Standing::Open | Standing::RepairFailed) {
            return Err(NotDone::Closed);
        }
        self.handling = Handling::Settled;
        // It repaired nothing.
        self.delivery_id = None;
        self.delivery_state = None;
        reason.clone_into(&mut self.reason);
        self.touch(actor, now);
        Ok(())
    }

    fn touch(&mut self, actor: &str, now: Timestamp) {
        actor.clone_into(&mut self.actor);
        self.version = self.version.saturating_add(1);
        self.update_time = now;
    }
}

/// What the leaf of a reconciliation commits to: all of it but when it is to be done. The ledger keeps no canonical bytes, so its history
/// keeps these.
pub(crate) fn of_run(run: &Reconciliation) -> Value {
    let tally = run.tally;
    json!({
        "reconciliation_id": run.id,
        "unit_id": run.unit_id,
        "from": run.from,
        "to": run.to,
        "repair": run.repair,
        "daily": run.daily,
        "state": run.state as i16,
        "compared": tally.compared,
        "equal": tally.equal,
        "waiting": tally.waiting,
        "differing": tally.differing,
        "not_comparable": tally.not_comparable,
        "looked_for_unknown": tally.looked_for_unknown,
        "attempts": run.attempts,
        "problem": run.problem,
        "actor": run.actor,
        "create_time": run.create_time,
        "end_time": run.end_time,
    })
}

/// What the leaves of [`OLDER_RUN`] commit to, and what others are told of a reconciliation.
pub(crate) fn of_older_run(run: &Reconciliation) -> Value {
    let tally = run.tally;
    json!({
        "unit_id": run.unit_id,
        "from": run.from,
        "to": run.to,
        "repair": run.repair,
        "state": run.state as i16,
        "compared": tally.compared,
        "equal": tally.equal,
        "waiting": tally.waiting,
        "differing": tally.differing,
        "not_comparable": tally.not_comparable,
        "problem": run.problem,
        "actor": run.actor,
    })
}

/// What the leaf of a difference commits to.
pub(crate) fn of_difference(difference: &Difference) -> Value {
    json!({
        "difference_id": difference.id,
        "reconciliation_id": difference.reconciliation_id,
        "unit_id": difference.unit_id,
        "case_code": difference.case_code,
        "kind": difference.finding.kind as i16,
        "fields": difference.finding.fields,
        "ours": difference.finding.ours,
        "theirs": difference.finding.theirs,
        "state": difference.handling as i16,
        "delivery_id": difference.delivery_id,
        "reason": difference.reason,
        "actor": difference.actor,
        "time": difference.update_time,
    })
}

/// What a list of differences shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DifferenceFilter {
    pub(crate) reconciliation_id: Option<Uuid>,
    pub(crate) open: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(name: &str, ours: &str, theirs: &str) -> FieldDifference {
        FieldDifference {
            field: name.to_owned(),
            ours: ours.to_owned(),
            theirs: theirs.to_owned(),
        }
    }

    #[test]
    fn the_gravest_field_names_the_kind_and_no_value_of_a_person_is_kept() {
        let all = [
            field("ChuHoSo", "Nguyễn Văn An", "Nguyễn Văn Ân"),
            field("NgayHenTra", "20261126170000", ""),
            field("TrangThaiHoSo", "4", "2"),
        ];
        let found = Finding::of_fields(&all, true).unwrap();
        assert_eq!(
            (found.kind, found.ours.as_str(), found.theirs.as_str()),
            (Kind::StateDiffers, "4", "2")
        );
        assert_eq!(found.fields, ["ChuHoSo", "NgayHenTra", "TrangThaiHoSo"]);
        let found = Finding::of_fields(&all[..2], true).unwrap();
        assert_eq!((found.kind, found.ours.as_str()), (Kind::DateDiffers, "20261126170000"));
        let found = Finding::of_fields(&all[..1], true).unwrap();
        assert_eq!(
            (found.kind, found.ours.as_str(), found.theirs.as_str()),
            (Kind::ContentDiffers, "", "")
        );
        assert_eq!(Finding::of_fields(&[], true), None);
    }

    #[test]
    fn a_period_is_at_most_a_month_and_not_to_come() {
        let today = date(2026, 11, 27);
        assert_eq!(check_period(today, today, today), Ok(()));
        assert_eq!(check_period(date(2026, 10, 28), today, today), Ok(()));
        assert_eq!(check_period(date(2026, 10, 27), today, today), Err(NotAPeriod::TooLong));
        assert_eq!(
            check_period(today, date(2026, 11, 26), today),
            Err(NotAPeriod::Backwards)
        );
        assert_eq!(check_period(today, date(2026, 11, 28), today), Err(NotAPeriod::ToCome));
    }

    fn difference(kind: Kind, case_id: Option<Uuid>) -> Difference {
        let now = "2026-11-27T01:00:00Z".parse().unwrap();
        Difference {
            id: Uuid::from_u128(1),
            reconciliation_id: Uuid::from_u128(2),
            unit_id: 2,
            case_code: "c".to_owned(),
            case_id,
            finding: Finding {
                kind,
                ..Finding::missing("4")
            },
            handling: Handling::Open,
            delivery_id: None,
            delivery_state: None,
            reason: String::new(),
            actor: "job".to_owned(),
            version: 1,
            find_time: now,
            update_time: now,
        }
    }

    #[test]
    fn what_only_the_portal_has_is_settled_by_hand_and_each_difference_once() {
        let now = "2026-11-27T02:00:00Z".parse().unwrap();
        let mut unknown = difference(Kind::UnknownHere, None);
        unknown.finding = Finding::unknown_here("2");
        assert_eq!(unknown.may_be_repaired(), Err(NotDone::NotRepairable));
        assert_eq!(unknown.settle("nhập nhầm", "staff", now), Ok(()));
        assert_eq!(unknown.settle("nhập nhầm", "staff", now), Err(NotDone::Closed));
        assert_eq!(unknown.may_be_repaired(), Err(NotDone::Closed));
        let mut missing = difference(Kind::MissingThere, Some(Uuid::from_u128(3)));
        assert_eq!(missing.may_be_repaired(), Ok(()));
        missing.handed_in((Uuid::from_u128(4), State::Queued), "staff", now);
        assert_eq!((missing.may_be_repaired(), missing.version), (Err(NotDone::Closed), 2));
        assert_eq!(missing.settle("x", "staff", now), Err(NotDone::Closed));
        let mut fixed = difference(Kind::ContentDiffers, Some(Uuid::from_u128(3)));
        fixed.finding.mendable = false;
        assert_eq!(fixed.may_be_repaired(), Err(NotDone::NotRepairable));
    }

    #[test]
    fn a_repair_that_did_not_go_through_is_repaired_again_or_settled_and_one_that_did_is_closed() {
        let now = "2026-11-27T02:00:00Z".parse().unwrap();
        for state in State::ALL {
            let mut one = difference(Kind::StateDiffers, Some(Uuid::from_u128(3)));
            one.handed_in((Uuid::from_u128(4), state), "job", now);
            let came_to_nothing = matches!(state, State::Failed | State::Dead);
            assert_eq!(one.may_be_repaired().is_ok(), came_to_nothing, "{state:?}");
            assert_eq!(one.standing() == Standing::RepairFailed, came_to_nothing, "{state:?}");
            assert_eq!(
                one.settle("đã sửa trên Cổng", "staff", now).is_ok(),
                came_to_nothing,
                "{state:?}"
            );
            assert_eq!(
                one.delivery_id.is_none(),
                came_to_nothing,
                "what is settled was repaired by nothing"
            );
        }
    }

    #[test]
    fn a_daily_period_makes_up_for_days_that_were_missed_and_is_never_longer_than_a_month() {
        let to = date(2027, 1, 1);
        let from = |days, last| daily_period(to, days, last).0;
        assert_eq!(from(3, None), date(2026, 12, 30));
        assert_eq!(from(3, Some(date(2026, 12, 31))), date(2026, 12, 30), "as every day");
        assert_eq!(
            from(3, Some(date(2026, 12, 20))),
            date(2026, 12, 21),
            "nobody compared since"
        );
        assert_eq!(from(3, Some(date(2026, 1, 1))), date(2026, 12, 2));
        assert_eq!(from(255, None), date(2026, 12, 2));
        assert_eq!(from(0, None), to);
    }

    proptest! {
        #[test]
        fn a_daily_period_is_one_that_may_be_compared(days: u8, back in 0_i32..400, shift in 0_i32..4_000) {
            let to = date(2026, 1, 1).checked_add(shift.days()).unwrap();
            let last = to.checked_sub(back.days()).unwrap();
            let (from, until) = daily_period(to, days, Some(last));
            prop_assert_eq!(check_period(from, until, to), Ok(()));
            prop_assert!(from <= last.tomorrow().unwrap() || back >= MOST_DAYS);
        }

        #[test]
        fn in_as_many_days_as_there_are_shares_each_comes_up_once(shares in 1_u8.., shift in 0_i32..4_000) {
            let first = date(2026, 1, 1).checked_add(shift.days()).unwrap();
            let turns: std::collections::BTreeSet<i32> = (0..i32::from(shares))
                .map(|later| turn_of(first.checked_add(later.days()).unwrap(), shares).unwrap().1)
                .collect();
            let each: std::collections::BTreeSet<i32> = (0..i32::from(shares)).collect();
            prop_assert_eq!(turns, each);
            prop_assert_eq!(turn_of(first, 0), None);
        }

        #[test]
        fn values_from_outside_are_kept_short_and_only_of_states_and_dates(
            name in "[A-Za-z]{1,20}", ours in ".{0,60}", theirs in ".{0,60}",
        ) {
            let found = Finding::of_fields(&[field(&name, &ours, &theirs)], true).unwrap();
            let is_shown = name == STATE_FIELD || DATE_FIELDS.contains(&name.as_str());
            prop_assert!(found.ours.chars().count() <= 20 && found.theirs.chars().count() <= 20);
            prop_assert!(is_shown || (found.ours.is_empty() && found.theirs.is_empty()));
        }
    }
}
