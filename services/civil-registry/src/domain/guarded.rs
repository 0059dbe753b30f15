//! Thông tin hộ tịch được hạn chế: what is guarded by a permission of its own, because it tells of adoption, of recognition of a parent or child, or of
//! a change of sex. Adoptive parents are left out by the query of relations (store/person_index.rs). Which law asks for it, and whether for more, is not confirmed; the decision is ours.

use super::annotation::AnnotationKind;
use super::book::EventKind;
use super::correction::Correction;
use super::entry::{Details, Entry};

/// The field of an entry that a sex stands in.
const SEX: &str = ".sex";

/// True for a note of recognition (xác định cha, mẹ, con), of sex (xác định lại giới tính) and of adoption (nuôi con nuôi).
#[must_use]
pub const fn is_guarded_note(kind: AnnotationKind) -> bool {
    matches!(
        kind,
        AnnotationKind::Parentage | AnnotationKind::Sex | AnnotationKind::Adoption
    )
}

/// True for a correction of a sex, whatever else it corrects.
#[must_use]
pub fn is_guarded_correction(correction: &Correction) -> bool {
    correction.fields.iter().any(|one| one.field.ends_with(SEX))
}

/// True for an entry that is such a correction, and for every entry of the books of recognition and adoption.
#[must_use]
pub fn is_guarded_entry(entry: &Entry) -> bool {
    matches!(entry.event, EventKind::Recognition | EventKind::Adoption)
        || matches!(&entry.content.details, Details::Correction(correction) if is_guarded_correction(correction))
}
