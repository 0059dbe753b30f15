//! Hồ sơ trùng: a birth that is to be registered beside those that are, what the officer is asked of it, and what is decided of a pair.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::birth::{Birth, Parent};
use super::finding::{Basis, Question};
use super::matching::place::Place;
use super::matching::verdict::{Ruling, Verdict};
use super::matching::{Known, Part, Score};

impl Known {
    /// What a birth tells of its child. The code of a place means what it meant on the day of the registration.
    pub fn of_birth(birth: &Birth, registration: Date) -> Self {
        let child = &birth.child;
        let name = |parent: Option<&Parent>| parent.map(|one| one.person.full_name.clone());
        Self {
            full_name: child.person.full_name.clone(),
            sex: child.person.sex,
            born: child.person.born,
            personal_number: child.person.personal_number.clone(),
            place_of_birth: (!child.place_of_birth_code.is_empty()).then(|| Place {
                code: child.place_of_birth_code.clone(),
                on: registration,
            }),
            mother: name(birth.mother.as_ref()),
            father: name(birth.father.as_ref()),
        }
    }

    /// Whether both have the same number: then the number tells that they are one, and nobody is asked.
    pub fn has_number_of(&self, other: &Self) -> bool {
        self.personal_number.is_some() && self.personal_number == other.personal_number
    }
}

/// The question of births that are likely the same; none if there are none. It names the entries, in which the officer looks, and nothing of what
/// they say.
pub fn question(likely: &[(Uuid, &Score)]) -> Option<Question> {
    if likely.is_empty() {
        return None;
    }
    let list = |words: fn(&Part) -> &'static str| {
        let each = likely.iter().map(|(entry_id, score)| {
            let reasons: Vec<&str> = score.parts.iter().map(words).collect();
            format!("{entry_id} ({})", reasons.join("; "))
        });
        each.collect::<Vec<String>>().join(", ")
    };
    Some(Question {
        code: "duplicate_likely",
        field: "birth.child".to_owned(),
        vi: format!(
            "trẻ có thể đã được đăng ký khai sinh, xem việc hộ tịch {}",
            list(|part| part.vi)
        ),
        en: format!(
            "the birth of the child may be registered already, see the entries {}",
            list(|part| part.en)
        ),
        basis: Basis::SHAPE,
    })
}

/// A reason for or against a pair, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPart {
    /// What it is.
    pub code: String,
    /// What it adds.
    pub points: i32,
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl From<&Part> for KeptPart {
    fn from(part: &Part) -> Self {
        Self {
            code: part.code.to_owned(),
            points: part.points,
            vi: part.vi.to_owned(),
            en: part.en.to_owned(),
        }
    }
}

/// One of the two births of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// The commune.
    pub unit_id: i32,
    /// The entry.
    pub entry_id: Uuid,
    /// The child.
    pub person_id: Uuid,
}

/// Two births that may be of one child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its id.
    pub duplicate_id: Uuid,
    /// The later one.
    pub later: Side,
    /// The earlier one.
    pub earlier: Side,
    /// The sum of the parts.
    pub points: i32,
    /// Every reason.
    pub parts: Vec<KeptPart>,
    /// Since when it is known.
    pub record_time: Timestamp,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 3] = [Self::Same, Self::Different, Self::Open];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Same => 1,
            Self::Different => 2,
            Self::Open => 3,
        }
    }

    /// The verdict that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }
}

/// A decision of a pair, as it is kept. The ledger commits to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptRuling {
    /// Its id.
    pub ruling_id: Uuid,
    /// The pair.
    pub duplicate_id: Uuid,
    /// The commune of the later entry.
    pub unit_id: i32,
    /// Its place among the decisions of the pair, from 1.
    pub position: i32,
    /// What was decided, of whom, by whom, and why.
    pub ruling: Ruling,
    /// What sort of caller decided.
    pub actor_kind: String,
}

impl KeptRuling {
    /// What the ledger commits to.
    pub fn canonical(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_back_to_verdicts() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::of_code(verdict.code()), Some(verdict));
        }
        assert_eq!(Verdict::of_code(4), None);
    }

    #[test]
    fn the_question_names_every_entry_with_its_reasons() {
        assert!(question(&[]).is_none());
        let score = Score {
            points: 120,
            parts: vec![Part {
                code: "mother_same",
                points: 35,
                vi: "cùng mẹ",
                en: "the same mother",
            }],
        };
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let asked = question(&[(one, &score), (other, &score)]).unwrap();
        for text in [&asked.vi, &asked.en] {
            assert!(text.contains(&one.to_string()) && text.contains(&other.to_string()));
        }
        assert!(asked.vi.contains("cùng mẹ") && asked.en.contains("the same mother"));
    }
}
