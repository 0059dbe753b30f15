//! Cấp số định danh cá nhân: the request for the number of a child whose birth is entered without one.
//!
//! The number comes from the national population database, which assigns it under a request code (mã yêu cầu). The code is made of the entry, once: whoever asks
//! again, because the answer was lost or is not known, asks under the same code, and never under another. Nothing here asks; it says what follows.

use egov_codes::PersonalNumber;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::birth::Birth;
use super::person::{Born, Country, Sex};
use super::rules::number::{self, NotOfChild};

/// The first wait before an open request is asked again; each further one doubles it.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);
/// The longest wait.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// The longest legal basis that integration takes.
const LEGAL_BASIS_CHARS: usize = 300;

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// To be asked for.
    Wanted,
    /// Asked for; what became of it is not known, or it is asked again later.
    Asked,
    /// The child has the number.
    Assigned,
    /// Refused by the database, or its answer cannot be the child's number: an officer looks at it.
    Refused,
    /// Such a child gets no number from the database.
    NotAsked,
}

impl RequestState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Wanted, Self::Asked, Self::Assigned, Self::Refused, Self::NotAsked];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Wanted => 1,
            Self::Asked => 2,
            Self::Assigned => 3,
            Self::Refused => 4,
            Self::NotAsked => 5,
        }
    }

    /// The state that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether a number is still to come.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Wanted | Self::Asked)
    }
}

/// Problem: the child is of another nationality alone. Our decision: the database assigns numbers to citizens (Luật Căn cước 2023 Đ.12, unconfirmed).
pub const NOT_A_CITIZEN: &str = "not_a_citizen";
/// Problem: the sex is not determined, and the number tells one. Our decision.
pub const SEX_UNDETERMINED: &str = "sex_undetermined";
/// Problem: the service is not connected to the population database.
pub const NOT_CONNECTED: &str = "not_connected";
/// Problem: the commune has no agency code, by which the database knows who asks.
pub const NO_AGENCY_CODE: &str = "no_agency_code";
/// Problem: whether the number was assigned is not known.
pub const OUTCOME_UNKNOWN: &str = "outcome_unknown";
/// Problem: nothing reached the database.
pub const UNAVAILABLE: &str = "unavailable";
/// Problem: integration does not pass the request on as it is (an agency code that is not the commune's, a code that no table knows).
pub const NOT_TAKEN: &str = "not_taken";
/// Problem: the database refused.
pub const REFUSED_BY_DATABASE: &str = "refused_by_database";
/// Problem: another person has the number that was answered.
pub const NUMBER_OF_ANOTHER: &str = "number_of_another";
/// Problem: the child has another number than the one that was answered.
pub const HAS_ANOTHER_NUMBER: &str = "has_another_number";

/// The request for the number of a child.
#[derive(Clone, PartialEq, Eq)]
pub struct NumberRequest {
    /// The entry of the birth.
    pub entry_id: Uuid,
    /// The child.
    pub person_id: Uuid,
    /// The commune.
    pub unit_id: i32,
    /// Mã yêu cầu: one for each entry, for ever.
    pub request_code: String,
    /// Căn cứ pháp lý, by the rules of the day of the registration.
    pub legal_basis: String,
    /// Where it is.
    pub state: RequestState,
    /// Why it is not assigned, a word; empty if nothing stands in the way.
    pub problem: String,
    /// What the database answered: assigned, or refused here.
    pub number: Option<PersonalNumber>,
    /// The day on which it was assigned here.
    pub assign_date: Option<Date>,
    /// Mã định danh of the commune as it was asked under first; empty before.
    pub agency_code: String,
    /// How often it was asked.
    pub attempts: i32,
    /// When it is asked next, while it is open.
    pub next_time: Option<Timestamp>,
    /// Grows with every act of its history.
    pub version: i64,
    /// Of the newest act.
    pub record_time: Timestamp,
}

/// Shows which, and nothing of a person.
impl std::fmt::Debug for NumberRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NumberRequest")
            .field("entry_id", &self.entry_id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// What the ledger's leaf of an act commits to.
#[derive(Serialize)]
struct Committed<'a> {
    entry_id: Uuid,
    person_id: Uuid,
    unit_id: i32,
    request_code: &'a str,
    legal_basis: &'a str,
    state: RequestState,
    problem: &'a str,
    personal_number: Option<&'a str>,
    assign_date: Option<Date>,
    version: i64,
    record_time: Timestamp,
}

/// The code of the request for the child of an entry: always the same.
pub fn request_code(entry_id: Uuid) -> String {
    format!("KS-{}", entry_id.simple()).to_uppercase()
}

/// Why the database is not asked for the number of a child; none if it is. A child of another nationality beside the Vietnamese one is a citizen.
fn not_asked(birth: &Birth) -> Option<&'static str> {
    let child = &birth.child.person;
    let citizen = [child.nationality, child.other_nationality].contains(&Some(Country::VIET_NAM));
    if !citizen {
        Some(NOT_A_CITIZEN)
    } else if child.sex == Sex::Undetermined {
        Some(SEX_UNDETERMINED)
    } else {
        None
    }
}

impl NumberRequest {
    /// The request that an entered birth leads to; none for a child that has a number.
    pub fn of(birth: &Birth, (entry_id, unit_id): (Uuid, i32), legal_basis: &str, now: Timestamp) -> Option<Self> {
        if birth.child.person.personal_number.is_some() {
            return None;
        }
        let not_asked = not_asked(birth);
        Some(Self {
            entry_id,
            person_id: birth.child.person_id,
            unit_id,
            request_code: request_code(entry_id),
            legal_basis: legal_basis.chars().take(LEGAL_BASIS_CHARS).collect(),
            state: if not_asked.is_some() {
                RequestState::NotAsked
            } else {
                RequestState::Wanted
            },
            problem: not_asked.unwrap_or_default().to_owned(),
            number: None,
            assign_date: None,
            agency_code: String::new(),
            attempts: 0,
            next_time: not_asked.is_none().then_some(now),
            version: 1,
            record_time: now,
        })
    }

    /// Before the database is asked: whatever happens afterwards, it is asked again under the same code. False if nothing is to be asked: the request was
    /// settled meanwhile, or is not due any more.
    pub fn begin(&mut self, agency_code: &str, now: Timestamp) -> bool {
        if !self.is_due(now) {
            return false;
        }
        if self.agency_code.is_empty() {
            agency_code.clone_into(&mut self.agency_code);
        }
        self.state = RequestState::Asked;
        OUTCOME_UNKNOWN.clone_into(&mut self.problem);
        self.wait(now);
        true
    }

    /// What stands in the way of asking at all: it stays what it is, and is looked at again later.
    pub fn put_off(&mut self, problem: &str, now: Timestamp) {
        if self.state.is_open() {
            problem.clone_into(&mut self.problem);
            self.wait(now);
        }
    }

    /// Why an open request has no answer yet.
    pub fn unanswered(&mut self, problem: &str) {
        if self.state.is_open() {
            problem.clone_into(&mut self.problem);
        }
    }

    /// Whether it is to be asked now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state.is_open() && self.next_time.is_some_and(|next| next <= now)
    }

    fn wait(&mut self, now: Timestamp) {
        let doublings = u32::try_from(self.attempts.clamp(0, 10)).unwrap_or_default();
        self.attempts = self.attempts.saturating_add(1);
        let factor = 2_i32.saturating_pow(doublings);
        let wait = FIRST_WAIT
            .checked_mul(factor)
            .map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT));
        self.next_time = Some(now.checked_add(wait).unwrap_or(Timestamp::MAX));
    }

    /// The child has the number from this day on.
    pub fn assign(&mut self, number: PersonalNumber, today: Date, now: Timestamp) {
        self.number = Some(number);
        self.assign_date = Some(today);
        self.settle(RequestState::Assigned, "", now);
    }

    /// It is not assigned; what the database answered, if it did, stays for the officer.
    pub fn refuse(&mut self, problem: &str, number: Option<PersonalNumber>, now: Timestamp) {
        self.number = number;
        self.settle(RequestState::Refused, problem, now);
    }

    /// By hand, after a refusal: asked for again, under the same code. False if it is not refused.
    pub fn retry(&mut self, now: Timestamp) -> bool {
        if self.state != RequestState::Refused {
            return false;
        }
        self.number = None;
        if self.problem == NOT_TAKEN {
            // Under which agency code it is asked may be what was wrong with it.
            self.agency_code.clear();
        }
        self.settle(RequestState::Wanted, "", now);
        self.attempts = 0;
        self.next_time = Some(now);
        true
    }

    fn settle(&mut self, state: RequestState, problem: &str, now: Timestamp) {
        self.state = state;
        problem.clone_into(&mut self.problem);
        self.next_time = None;
        self.version = self.version.saturating_add(1);
        self.record_time = now;
    }

    /// What the leaf of its newest act commits to.
    ///
    /// # Errors
    /// It cannot be written as JSON, which does not happen.
    pub fn canonical(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Committed {
            entry_id: self.entry_id,
            person_id: self.person_id,
            unit_id: self.unit_id,
            request_code: &self.request_code,
            legal_basis: &self.legal_basis,
            // Asking does not change what the act before it said.
            state: if self.state == RequestState::Asked {
                RequestState::Wanted
            } else {
                self.state
            },
            problem: if self.state.is_open() { "" } else { &self.problem },
            personal_number: self.number.as_ref().map(PersonalNumber::reveal),
            assign_date: self.assign_date,
            version: self.version,
            record_time: self.record_time,
        })
    }
}

/// Why a number that the database answered cannot be the child's, a word: sex, year of birth or province are not those of the record.
pub fn mismatch(
    number: &PersonalNumber,
    (sex, born): (Sex, Option<Born>),
    province: Option<&str>,
) -> Option<&'static str> {
    number::of_child(number, sex, born, province).map(|wrong| match wrong {
        NotOfChild::Sex => "number_of_another_sex",
        NotOfChild::BirthYear => "number_of_another_year",
        NotOfChild::Province => "number_of_another_province",
    })
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use proptest::prelude::*;

    use super::*;

    fn request() -> NumberRequest {
        let now = Timestamp::UNIX_EPOCH;
        NumberRequest {
            entry_id: Uuid::from_u128(1),
            person_id: Uuid::from_u128(2),
            unit_id: 3,
            request_code: request_code(Uuid::from_u128(1)),
            legal_basis: "Nghị định 137/2015/NĐ-CP".to_owned(),
            state: RequestState::Wanted,
            problem: String::new(),
            number: None,
            assign_date: None,
            agency_code: String::new(),
            attempts: 0,
            next_time: Some(now),
            version: 1,
            record_time: now,
        }
    }

    proptest! {
        /// However often it is asked, put off, refused and wanted again: one code, the agency of the first time, no more than an hour between two tries.
        #[test]
        fn the_code_never_changes_and_an_open_request_is_asked_again_within_an_hour(acts in prop::collection::vec(0..5_u8, 0..40)) {
            let mut request = request();
            let code = request.request_code.clone();
            let mut now = Timestamp::UNIX_EPOCH;
            for (place, act) in acts.into_iter().enumerate() {
                let before = request.version;
                match act {
                    0 => {
                        request.begin(&format!("H41.{place}"), now);
                    }
                    1 => request.put_off(UNAVAILABLE, now),
                    2 if request.state.is_open() => request.refuse(REFUSED_BY_DATABASE, None, now),
                    3 => {
                        request.retry(now);
                    }
                    _ => now += 1.hour(),
                }
                prop_assert_eq!(&request.request_code, &code);
                prop_assert!(request.version >= before);
                prop_assert_eq!(request.state.is_open(), request.next_time.is_some());
                if let Some(next) = request.next_time {
                    prop_assert!(next <= now + 1.hour());
                }
            }
        }
    }

    #[test]
    fn asking_changes_nothing_that_the_ledger_committed_to() {
        let mut request = request();
        let before = request.canonical().unwrap();
        assert!(request.begin("H41.1", Timestamp::UNIX_EPOCH));
        assert!(!request.begin("H41.2", Timestamp::UNIX_EPOCH), "it is not due any more");
        request.unanswered(UNAVAILABLE);
        assert_eq!(request.canonical().unwrap(), before);
        assert_eq!((request.agency_code.as_str(), request.attempts), ("H41.1", 1));
        assert!(!request.retry(Timestamp::UNIX_EPOCH), "only a refused one");
    }

    #[test]
    fn a_code_is_of_the_form_that_the_database_takes() {
        let code = request_code(Uuid::from_u128(0xabc));
        assert_eq!(code, "KS-00000000000000000000000000000ABC");
    }

    #[test]
    fn every_state_is_found_by_its_code() {
        for state in RequestState::ALL {
            assert_eq!(RequestState::of_code(state.code()), Some(state));
        }
        assert_eq!(RequestState::of_code(6), None);
    }
}
