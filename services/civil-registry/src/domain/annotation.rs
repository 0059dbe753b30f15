//! Ghi chú hộ tịch: what stands beside an entry, on the basis of a judgment or decision.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::book::EventKind;
use super::entry::{Entry, Relation};
use super::finding::Violation;
use super::marriage::MarriageOutcome;

/// Nội dung ghi chú (Luật Hộ tịch 60/2014/QH13 Đ.3, unconfirmed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationKind {
    /// Quốc tịch.
    Nationality,
    /// Xác định cha, mẹ, con.
    Parentage,
    /// Xác định lại giới tính.
    Sex,
    /// Nuôi con nuôi, chấm dứt việc nuôi con nuôi.
    Adoption,
    /// Ly hôn, huỷ việc kết hôn, công nhận việc kết hôn.
    Marriage,
    /// Công nhận giám hộ.
    Guardianship,
    /// Tuyên bố mất tích.
    Missing,
    /// Tuyên bố đã chết.
    DeclaredDead,
    /// Mất, hạn chế năng lực hành vi dân sự.
    Capacity,
    /// Nội dung khác.
    Other,
}

impl AnnotationKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Nationality,
        Self::Parentage,
        Self::Sex,
        Self::Adoption,
        Self::Marriage,
        Self::Guardianship,
        Self::Missing,
        Self::DeclaredDead,
        Self::Capacity,
        Self::Other,
    ];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Nationality => 1,
            Self::Parentage => 2,
            Self::Sex => 3,
            Self::Adoption => 4,
            Self::Marriage => 5,
            Self::Guardianship => 6,
            Self::Missing => 7,
            Self::DeclaredDead => 8,
            Self::Capacity => 9,
            Self::Other => 10,
        }
    }

    /// The kind that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// What is noted, and on which basis (căn cứ).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What is noted.
    pub text: String,
    /// Số bản án, quyết định.
    pub basis_number: String,
    /// Ngày bản án, quyết định.
    pub basis_date: Date,
    /// Cơ quan ban hành.
    pub basis_authority: String,
    /// Tình trạng kết hôn that a court decided, of a note of marriage beside a marriage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marriage_outcome: Option<MarriageOutcome>,
    /// Ngày có hiệu lực of what was decided of a marriage, or of the end of an adoption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_date: Option<Date>,
}

/// Shows nothing of it: what a court decided about somebody is sensitive.
impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Note")
    }
}

/// Ghi chú beside an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Annotation {
    /// Its id.
    pub annotation_id: Uuid,
    /// The entry.
    pub entry_id: Uuid,
    /// The commune.
    pub unit_id: i32,
    /// The place among those of the entry, from 1.
    pub position: i32,
    /// Nội dung.
    pub kind: AnnotationKind,
    /// Ngày ghi chú.
    pub note_date: Date,
    /// What is noted.
    pub note: Note,
    /// The one that it cancels.
    pub cancels: Option<Uuid>,
    /// Who noted it.
    pub actor_id: Uuid,
    /// What sort of caller that was.
    pub actor_kind: String,
    /// When.
    pub record_time: Timestamp,
}

impl Annotation {
    /// What the ledger commits to: the annotation, with what became of relations by it, if anything did.
    pub fn canonical(&self, changed: &[Relation]) -> serde_json::Result<String> {
        if changed.is_empty() {
            serde_json::to_string(self)
        } else {
            serde_json::to_string(&(self, changed))
        }
    }
}

/// A marriage as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The relation in its newest version, whatever made it.
    pub current: &'a Relation,
    /// The day on which one of the two died, if it is known.
    pub death: Option<Date>,
}

impl Standing<'_> {
    /// True if a court ended it: a death ends it as well, and a divorce of an earlier day may still be noted after that.
    fn is_ended_by_court(&self) -> bool {
        self.current.valid_to.is_some() && self.current.valid_to != self.end_by_death()
    }

    /// The day on which the death ends it; nothing ends before it begins.
    fn end_by_death(&self) -> Option<Date> {
        self.death.map(|day| day.max(self.current.valid_from))
    }
}

/// What becomes of a marriage by an annotation beside it: the further version, from the current one and the annotation that is cancelled. None if
/// nothing does.
pub fn marriage_after(standing: &Standing<'_>, note: &Note, cancelled: Option<&Annotation>) -> Option<Relation> {
    let current = standing.current;
    let valid_to = match cancelled {
        // What the cancelled one ended is as it was.
        Some(one) if one.note.marriage_outcome.is_some_and(MarriageOutcome::ends) => standing.end_by_death(),
        Some(_) => return None,
        None if note.marriage_outcome.is_some_and(MarriageOutcome::ends) => Some(note.effective_date?),
        None => return None,
    };
    Some(Relation {
        version: current.version + 1,
        valid_to,
        ..current.clone()
    })
}

/// What becomes of an adoption by an annotation beside it that says since when it is none: a further version of each of its relations, which `standing`
/// are in their newest versions. What such a note ended is again when it is cancelled. Nothing if nothing becomes of it.
pub fn adoption_after(standing: &[Relation], note: &Note, cancelled: Option<&Annotation>) -> Vec<Relation> {
    let valid_to = match cancelled {
        Some(one) if one.note.effective_date.is_some() => None,
        None if note.effective_date.is_some() => note.effective_date,
        Some(_) | None => return Vec::new(),
    };
    standing
        .iter()
        .map(|current| Relation {
            version: current.version + 1,
            valid_to,
            ..current.clone()
        })
        .collect()
}

/// Judges that an adoption ended (chấm dứt việc nuôi con nuôi) on a day, as a note beside it says.
fn judge_adoption_end(effective: Date, standing: &[Relation], note_date: Date) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut unless = |holds: bool, code, (vi, en): (&str, &str)| {
        if !holds {
            found.push(Violation::of_shape(code, "effective_date", vi, en));
        }
    };
    unless(
        effective <= note_date && standing.iter().all(|one| one.valid_from <= effective),
        "effective_date",
        (
            "phải từ ngày đăng ký nuôi con nuôi đến ngày ghi chú",
            "must lie between the adoption and the day of the note",
        ),
    );
    unless(
        standing.iter().all(|one| one.valid_to.is_none()),
        "adoption_ended",
        ("việc nuôi con nuôi này đã chấm dứt", "this adoption has ended already"),
    );
    found
}

/// Judges what a court decided of a marriage (ly hôn, huỷ việc kết hôn, công nhận việc kết hôn) beside the entry that tells of it.
fn judge_outcome(
    entry: &Entry,
    (kind, note): (AnnotationKind, &Note),
    (cancels, cancelled): (Option<Uuid>, Option<&Annotation>),
    standing: Option<Standing<'_>>,
    note_date: Date,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut unless = |holds: bool, code, field: &str, (vi, en): (&str, &str)| {
        if !holds {
            found.push(Violation::of_shape(code, field, vi, en));
        }
    };
    let is_marriage = kind == AnnotationKind::Marriage && entry.event == EventKind::Marriage;
    // What a cancelled note said of a marriage is said anew: it does not come back by itself.
    unless(
        !is_marriage || cancelled.is_none_or(|one| one.cancels.is_none()),
        "cancels",
        "cancels_annotation_id",
        (
            "là ghi chú huỷ; ghi chú lại nội dung thay vì huỷ ghi chú huỷ",
            "cancels another one itself; what that one said is noted anew",
        ),
    );
    let wanted = is_marriage && cancels.is_none();
    unless(
        note.marriage_outcome.is_some() == wanted,
        "marriage_outcome",
        "marriage_outcome",
        (
            "phải có khi ghi chú về hôn nhân cạnh việc kết hôn, và chỉ khi đó",
            "is said in a note of marriage beside a marriage that cancels none, and nowhere else",
        ),
    );
    let may_end_adoption = ends_adoption(entry, kind, cancels);
    unless(
        note.effective_date.is_some() == wanted || may_end_adoption,
        "effective_date",
        "effective_date",
        (
            "phải có khi ghi chú về hôn nhân cạnh việc kết hôn, có thể có khi ghi chú về con nuôi cạnh việc nuôi con nuôi, và chỉ khi đó",
            "is said in a note of marriage beside a marriage, may be in one of adoption beside an adoption, that cancels none, and nowhere else",
        ),
    );
    let (Some(outcome), Some(effective), Some(standing), true) =
        (note.marriage_outcome, note.effective_date, standing, wanted)
    else {
        return found;
    };
    unless(
        standing.current.valid_from <= effective && effective <= note_date,
        "effective_date",
        "effective_date",
        (
            "phải từ ngày kết hôn đến ngày ghi chú",
            "must lie between the marriage and the day of the note",
        ),
    );
    unless(
        !outcome.ends() || (!standing.is_ended_by_court() && standing.death.is_none_or(|day| effective <= day)),
        "marriage_ended",
        "marriage_outcome",
        ("hôn nhân này đã chấm dứt", "this marriage has ended already"),
    );
    found
}

/// Whether a note may say since when an adoption is none: one of adoption beside an adoption that cancels none.
fn ends_adoption(entry: &Entry, kind: AnnotationKind, cancels: Option<Uuid>) -> bool {
    kind == AnnotationKind::Adoption && entry.event == EventKind::Adoption && cancels.is_none()
}

/// Judges what is to be noted beside an entry on a day; `cancelled` is the annotation that it is to cancel, if it names one that there is, `standing`
/// the marriage that the entry tells of, `adoptive` the relations of the adoption that it tells of.
///
/// # Errors
/// Every violation.
pub fn judge(
    entry: &Entry,
    (kind, note, note_date): (AnnotationKind, &Note, Date),
    cancels: Option<Uuid>,
    cancelled: Option<&Annotation>,
    (standing, adoptive): (Option<Standing<'_>>, &[Relation]),
    today: Date,
) -> Result<(), Vec<Violation>> {
    let mut found = Vec::new();
    let mut unless = |holds: bool, code, field: &str, (vi, en): (&str, &str)| {
        if !holds {
            found.push(Violation::of_shape(code, field, vi, en));
        }
    };
    unless(
        note_date <= today && entry.registration_date <= note_date,
        "note_date",
        "note_date",
        (
            "phải từ ngày đăng ký đến hôm nay",
            "must lie between the registration and today",
        ),
    );
    unless(
        note.basis_date <= note_date,
        "basis_date",
        "basis.date",
        ("không được sau ngày ghi chú", "must not be after the day of the note"),
    );
    let fits = cancelled.is_some_and(|one| one.entry_id == entry.entry_id && one.kind == kind);
    unless(
        cancels.is_none() || fits,
        "cancels",
        "cancels_annotation_id",
        (
            "không phải là ghi chú cùng loại của việc hộ tịch này",
            "is no annotation of this entry and kind",
        ),
    );
    found.extend(judge_outcome(
        entry,
        (kind, note),
        (cancels, cancelled),
        standing,
        note_date,
    ));
    if let (Some(effective), true) = (note.effective_date, ends_adoption(entry, kind, cancels)) {
        found.extend(judge_adoption_end(effective, adoptive, note_date));
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::entry::RelationKind;

    #[test]
    fn codes_lead_back_to_kinds_of_annotations() {
        for kind in AnnotationKind::ALL {
            assert_eq!(AnnotationKind::of_code(kind.code()), Some(kind));
        }
        assert_eq!(AnnotationKind::of_code(11), None);
    }

    fn note(marriage_outcome: Option<MarriageOutcome>, effective_date: Option<Date>) -> Note {
        Note {
            text: "x".to_owned(),
            basis_number: "1".to_owned(),
            basis_date: date(2026, 1, 5),
            basis_authority: "x".to_owned(),
            marriage_outcome,
            effective_date,
        }
    }

    fn standing(current: &Relation, death: Option<Date>) -> Standing<'_> {
        Standing { current, death }
    }

    #[test]
    fn the_end_of_an_adoption_is_of_all_its_relations_and_is_taken_back_with_its_note() {
        let relation = |number, valid_to| Relation {
            relation_id: Uuid::from_u128(number),
            version: 1,
            kind: RelationKind::AdoptiveParent,
            person_id: Uuid::from_u128(2),
            relative_id: Uuid::from_u128(number + 10),
            valid_from: date(2020, 1, 1),
            valid_to,
        };
        let (day, both) = (date(2026, 1, 20), [relation(1, None), relation(3, None)]);
        let end = note(None, Some(day));
        let ended = adoption_after(&both, &end, None);
        let told: Vec<(i64, Option<Date>)> = ended.iter().map(|one| (one.version, one.valid_to)).collect();
        assert_eq!(told, [(2, Some(day)), (2, Some(day))]);
        assert!(adoption_after(&both, &note(None, None), None).is_empty());
        let rules = |effective, standing: &[Relation]| -> Vec<&'static str> {
            let found = judge_adoption_end(effective, standing, day);
            found.into_iter().map(|one| one.code).collect()
        };
        assert!(rules(day, &both).is_empty());
        assert_eq!(rules(date(2026, 1, 21), &both), ["effective_date"]);
        assert_eq!(rules(date(2019, 12, 31), &ended), ["effective_date", "adoption_ended"]);
        let noted = Annotation {
            annotation_id: Uuid::from_u128(4),
            entry_id: Uuid::from_u128(5),
            unit_id: 2,
            position: 1,
            kind: AnnotationKind::Adoption,
            note_date: day,
            note: end,
            cancels: None,
            actor_id: Uuid::from_u128(6),
            actor_kind: "staff".to_owned(),
            record_time: Timestamp::UNIX_EPOCH,
        };
        let restored = adoption_after(&ended, &note(None, None), Some(&noted));
        assert!(restored.len() == 2 && restored.iter().all(|one| one.version == 3 && one.valid_to.is_none()));
    }

    #[test]
    fn a_divorce_ends_a_marriage_and_its_cancelling_leaves_what_a_death_ended() {
        let current = Relation {
            relation_id: Uuid::from_u128(1),
            version: 1,
            kind: RelationKind::Spouse,
            person_id: Uuid::from_u128(2),
            relative_id: Uuid::from_u128(3),
            valid_from: date(2020, 1, 1),
            valid_to: None,
        };
        let divorce = note(Some(MarriageOutcome::Divorced), Some(date(2026, 1, 20)));
        let ended = marriage_after(&standing(&current, None), &divorce, None).unwrap();
        assert_eq!((ended.version, ended.valid_to), (2, Some(date(2026, 1, 20))));
        assert!(standing(&ended, None).is_ended_by_court());
        let recognised = note(Some(MarriageOutcome::Recognised), Some(date(2026, 1, 20)));
        assert_eq!(marriage_after(&standing(&current, None), &recognised, None), None);

        let noted = Annotation {
            annotation_id: Uuid::from_u128(4),
            entry_id: Uuid::from_u128(5),
            unit_id: 2,
            position: 1,
            kind: AnnotationKind::Marriage,
            note_date: date(2026, 2, 1),
            note: divorce,
            cancels: None,
            actor_id: Uuid::from_u128(6),
            actor_kind: "staff".to_owned(),
            record_time: Timestamp::UNIX_EPOCH,
        };
        let empty = note(None, None);
        for (death, valid_to) in [(None, None), (Some(date(2026, 3, 1)), Some(date(2026, 3, 1)))] {
            let restored = marriage_after(&standing(&ended, death), &empty, Some(&noted)).unwrap();
            assert_eq!((restored.version, restored.valid_to), (3, valid_to));
            assert!(!standing(&restored, death).is_ended_by_court());
        }
        // What says nothing of a marriage is kept as it always was, and what changed one is committed to with it.
        let plain = serde_json::to_string(&empty).unwrap();
        assert!(!plain.contains("marriage_outcome") && !plain.contains("effective_date"));
        assert_eq!(noted.canonical(&[]).unwrap(), serde_json::to_string(&noted).unwrap());
        assert_ne!(noted.canonical(&[ended]).unwrap(), noted.canonical(&[]).unwrap());
    }
}
