//! Đối soát: what the province has of a case against what the portal has, and what may be done about a difference.

use egov_partners::portal::{DATE_FIELDS, FieldDifference, STATE_FIELD};
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

/// The longest period of one reconciliation, in days.
pub(crate) const MOST_DAYS: i32 = 31;

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
    /// Whether that delivery is acknowledged.
    pub(crate) repaired: bool,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) version: i64,
    pub(crate) find_time: Timestamp,
    pub(crate) update_time: Timestamp,
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

    /// Whether the case may be handed in again for it.
    pub(crate) fn may_be_repaired(&self) -> Result<(), NotDone> {
        match (self.handling, self.case_id) {
            (Handling::HandedIn | Handling::Settled, _) => Err(NotDone::Closed),
            (Handling::Open, Some(_)) if self.finding.mendable => Ok(()),
            (Handling::Open, _) => Err(NotDone::NotRepairable),
        }
    }

    /// The case was handed in again.
    pub(crate) fn handed_in(&mut self, delivery_id: Uuid, actor: &str, now: Timestamp) {
        self.handling = Handling::HandedIn;
        self.delivery_id = Some(delivery_id);
        self.touch(actor, now);
    }

    /// Somebody settles it by hand.
    pub(crate) fn settle(&mut self, reason: &str, actor: &str, now: Timestamp) -> Result<(), NotDone> {
        if self.handling != Handling::Open {
            return Err(NotDone::Closed);
        }
        self.handling = Handling::Settled;
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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
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
            repaired: false,
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
        missing.handed_in(Uuid::from_u128(4), "staff", now);
        assert_eq!((missing.may_be_repaired(), missing.version), (Err(NotDone::Closed), 2));
        assert_eq!(missing.settle("x", "staff", now), Err(NotDone::Closed));
        let mut fixed = difference(Kind::ContentDiffers, Some(Uuid::from_u128(3)));
        fixed.finding.mendable = false;
        assert_eq!(fixed.may_be_repaired(), Err(NotDone::NotRepairable));
    }

    proptest! {
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
