//! Thông tin hộ tịch được hạn chế: what is guarded by a permission of its own, because it tells of adoption, of recognition of a parent or child, or of
//! a change of sex. Adoptive parents, and whom a recognition made a parent, are left out by the query of relations (store/person_index.rs). Which law asks for it, and whether for more, is not confirmed; the decision is ours.

use super::annotation::AnnotationKind;
use super::book::EventKind;
use super::correction::Correction;
use super::entry::{Details, Entry};

/// The field of an entry that a sex stands in.
const SEX: &str = ".sex";

/// Where the fields of recognitions and adoptions begin.
const GUARDED_PATHS: [&str; 2] = ["recognition.", "adoption."];

/// True for a note of recognition (xác định cha, mẹ, con), of sex (xác định lại giới tính) and of adoption (nuôi con nuôi).
#[must_use]
pub const fn is_guarded_note(kind: AnnotationKind) -> bool {
    matches!(
        kind,
        AnnotationKind::Parentage | AnnotationKind::Sex | AnnotationKind::Adoption
    )
}

/// True for a correction of what a recognition or an adoption says.
fn is_of_guarded_book(correction: &Correction) -> bool {
    let mut fields = correction.fields.iter();
    fields.any(|one| GUARDED_PATHS.iter().any(|path| one.field.starts_with(path)))
}

/// True for a correction of a sex, whatever else it corrects, and for one of a recognition or an adoption.
#[must_use]
pub fn is_guarded_correction(correction: &Correction) -> bool {
    correction.fields.iter().any(|one| one.field.ends_with(SEX)) || is_of_guarded_book(correction)
}

/// True for every entry of the books of recognition and adoption, and for every correction of one. What they say of persons stands in them alone: they
/// add nothing to what is told of persons elsewhere, and what is announced of them names nobody.
#[must_use]
pub fn is_secret_of_family(entry: &Entry) -> bool {
    matches!(entry.event, EventKind::Recognition | EventKind::Adoption)
        || matches!(&entry.content.details, Details::Correction(correction) if is_of_guarded_book(correction))
}

/// True for an entry that is a guarded correction, and for every entry of the books of recognition and adoption.
#[must_use]
pub fn is_guarded_entry(entry: &Entry) -> bool {
    matches!(entry.event, EventKind::Recognition | EventKind::Adoption)
        || matches!(&entry.content.details, Details::Correction(correction) if is_guarded_correction(correction))
}
