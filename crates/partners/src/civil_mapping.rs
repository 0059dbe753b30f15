//! An entry of the civil registry as the civil-status register wants it: as it stands, with what corrects it and what is noted beside it.
//!
//! Names of fields are those of the national digitisation schema (prefixes nks, me, cha, nyc, chong, vo); of a death the schema's prefix was not
//! found: `nkt` is ours, **unconfirmed**, and so are the names of corrections and notes.

use std::collections::BTreeMap;

use egov_proto::egov::civil_registry::v1::{
    Annotation, Birth, Death, Entry, EventKind, ForeignRegistration, GetEntryResponse, IdentityPaper, Marriage, Parent,
    Requester, Spouse,
};
use egov_proto::google::r#type::Date;

use crate::civil_books::BookEntry;
use crate::civil_status::RegistrationKind;

/// Why an entry cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTold {
    /// The registry does not say what it says: the role that sees what is guarded is missing.
    #[error("what the entry says is withheld")]
    Withheld,
    /// Something without which it cannot be told.
    #[error("{0} is missing")]
    Missing(&'static str),
}

/// An entry to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldEntry {
    /// As the register is told.
    pub entry: BookEntry,
    /// Số, without the year.
    pub number: i32,
    /// The ids of the persons whom it is about, in the registry.
    pub subjects: Vec<String>,
}

/// Which kind of the register's an entry is; none if the register is not told of such.
pub fn kind_of(event: EventKind) -> Option<RegistrationKind> {
    match event {
        EventKind::Birth => Some(RegistrationKind::Birth),
        EventKind::Marriage => Some(RegistrationKind::Marriage),
        EventKind::Death => Some(RegistrationKind::Death),
        EventKind::Unspecified
        | EventKind::Guardianship
        | EventKind::Recognition
        | EventKind::Change
        | EventKind::Adoption
        | EventKind::MaritalStatus => None,
    }
}

/// Fields by name; what is empty is left out.
#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Fields {
    fn put(&mut self, prefix: &str, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.insert(format!("{prefix}{name}"), value.to_owned());
        }
    }

    /// A code; 0 is not said.
    fn code(&mut self, prefix: &str, name: &str, code: i32) {
        if code != 0 {
            self.put(prefix, name, &code.to_string());
        }
    }

    fn day(&mut self, prefix: &str, name: &str, day: Option<&Date>) {
        if let Some(day) = day {
            self.put(prefix, name, &day_text(day));
        }
    }

    fn paper(&mut self, prefix: &str, paper: Option<&IdentityPaper>) {
        let Some(paper) = paper else { return };
        self.code(prefix, "LoaiGiayToTuyThan", paper.kind);
        self.put(prefix, "GiayToKhac", &paper.other_name);
        self.put(prefix, "SoGiayToTuyThan", &paper.number);
        self.day(prefix, "NgayCapGiayToTuyThan", paper.issue_date.as_ref());
        self.put(prefix, "NoiCapGiayToTuyThan", &paper.issue_place);
    }

    fn parent(&mut self, prefix: &str, parent: Option<&Parent>) {
        let Some(parent) = parent else { return };
        self.put(prefix, "HoTen", &parent.full_name);
        self.put(prefix, "SoDinhDanh", &parent.personal_number);
        self.day(prefix, "NgaySinh", parent.date_of_birth.as_ref());
        self.put(prefix, "DanToc", &parent.ethnic_group);
        self.put(prefix, "QuocTich", &parent.nationality);
        self.put(prefix, "QuocTichKhac", &parent.other_nationality);
        self.code(prefix, "LoaiCuTru", parent.residence_kind);
        self.put(prefix, "NoiCuTru", &parent.residence);
        self.paper(prefix, parent.paper.as_ref());
    }

    fn spouse(&mut self, prefix: &str, spouse: &Spouse) {
        self.put(prefix, "HoTen", &spouse.full_name);
        self.put(prefix, "SoDinhDanh", &spouse.personal_number);
        self.day(prefix, "NgaySinh", spouse.date_of_birth.as_ref());
        self.put(prefix, "DanToc", &spouse.ethnic_group);
        self.put(prefix, "QuocTich", &spouse.nationality);
        self.put(prefix, "QuocTichKhac", &spouse.other_nationality);
        self.code(prefix, "LoaiCuTru", spouse.residence_kind);
        self.put(prefix, "NoiCuTru", &spouse.residence);
        self.paper(prefix, spouse.paper.as_ref());
    }

    fn requester(&mut self, requester: Option<&Requester>) {
        let Some(requester) = requester else { return };
        self.put("nyc", "HoTen", &requester.full_name);
        self.put("nyc", "QuanHe", &requester.relationship);
        self.paper("nyc", requester.paper.as_ref());
    }

    fn abroad(&mut self, registration: Option<&ForeignRegistration>) {
        let Some(registration) = registration else { return };
        self.put("so", "DangKyNuocNgoai", &registration.number);
        self.day("ngay", "DangKyNuocNgoai", registration.date.as_ref());
        self.put("coQuan", "DangKyNuocNgoai", &registration.authority);
        self.put("quocGia", "DangKyNuocNgoai", &registration.country);
    }

    fn birth(&mut self, birth: &Birth) -> Result<Vec<String>, NotTold> {
        let child = birth.child.as_ref().ok_or(NotTold::Missing("the child"))?;
        self.put("nks", "HoTen", &child.full_name);
        self.put("nks", "SoDinhDanh", &child.personal_number);
        self.code("nks", "GioiTinh", child.sex);
        self.day("nks", "NgaySinh", child.date_of_birth.as_ref());
        self.put("nks", "NoiSinh", &child.place_of_birth);
        self.put("nks", "NoiSinhDVHC", &child.place_of_birth_code);
        self.put("nks", "QueQuan", &child.home_town);
        self.put("nks", "DanToc", &child.ethnic_group);
        self.put("nks", "QuocTich", &child.nationality);
        self.put("nks", "QuocTichKhac", &child.other_nationality);
        self.code("nks", "LoaiKhaiSinh", birth.kind);
        self.parent("me", birth.mother.as_ref());
        self.parent("cha", birth.father.as_ref());
        self.requester(birth.requester.as_ref());
        self.abroad(birth.foreign_registration.as_ref());
        let parents = [&birth.mother, &birth.father].into_iter().flatten();
        let parents = parents.map(|parent| parent.person_id.clone());
        Ok(std::iter::once(child.person_id.clone()).chain(parents).collect())
    }

    fn marriage(&mut self, marriage: &Marriage) -> Result<Vec<String>, NotTold> {
        let husband = marriage.husband.as_ref().ok_or(NotTold::Missing("the husband"))?;
        let wife = marriage.wife.as_ref().ok_or(NotTold::Missing("the wife"))?;
        self.spouse("chong", husband);
        self.spouse("vo", wife);
        self.code("", "tinhTrangKetHon", marriage.outcome);
        Ok(vec![husband.person_id.clone(), wife.person_id.clone()])
    }

    fn death(&mut self, death: &Death) -> Result<Vec<String>, NotTold> {
        let deceased = death.deceased.as_ref().ok_or(NotTold::Missing("the deceased"))?;
        self.put("nkt", "HoTen", &deceased.full_name);
        self.put("nkt", "SoDinhDanh", &deceased.personal_number);
        self.code("nkt", "GioiTinh", deceased.sex);
        self.day("nkt", "NgaySinh", deceased.date_of_birth.as_ref());
        self.put("nkt", "DanToc", &deceased.ethnic_group);
        self.put("nkt", "QuocTich", &deceased.nationality);
        self.put("nkt", "QuocTichKhac", &deceased.other_nationality);
        self.code("nkt", "LoaiCuTru", deceased.residence_kind);
        self.put("nkt", "NoiCuTru", &deceased.residence);
        self.paper("nkt", deceased.paper.as_ref());
        self.day("nkt", "NgayChet", death.date_of_death.as_ref());
        self.put("nkt", "GioChet", &death.time_of_death);
        self.put("nkt", "NoiChet", &death.place_of_death);
        self.put("nkt", "NguyenNhanChet", &death.cause);
        self.code("", "loaiGiayBaoTu", death.notice_kind);
        self.put("", "soGiayBaoTu", &death.notice_number);
        self.day("", "ngayGiayBaoTu", death.notice_date.as_ref());
        self.put("", "coQuanGiayBaoTu", &death.notice_authority);
        self.requester(death.requester.as_ref());
        self.abroad(death.foreign_registration.as_ref());
        Ok(vec![deceased.person_id.clone()])
    }

    /// What is noted, by its place among the notes.
    fn note(&mut self, note: &Annotation, all: &[Annotation]) {
        let prefix = format!("ghiChu{:02}", note.position);
        self.code(&prefix, "Loai", note.kind);
        self.put(&prefix, "NoiDung", &note.text);
        self.day(&prefix, "Ngay", note.note_date.as_ref());
        if let Some(basis) = &note.basis {
            self.put(&prefix, "SoVanBan", &basis.number);
            self.day(&prefix, "NgayVanBan", basis.date.as_ref());
            self.put(&prefix, "CoQuanBanHanh", &basis.authority);
        }
        self.code(&prefix, "TinhTrangKetHon", note.marriage_outcome);
        self.day(&prefix, "NgayHieuLuc", note.effective_date.as_ref());
        let cancelled = all
            .iter()
            .filter(|_| !note.cancels_annotation_id.is_empty())
            .find(|one| one.annotation_id == note.cancels_annotation_id);
        self.code(&prefix, "HuyGhiChu", cancelled.map_or(0, |one| one.position));
    }
}

/// A day as far as it is known: `dd/MM/yyyy`, `MM/yyyy` or `yyyy`.
fn day_text(day: &Date) -> String {
    match (day.year, day.month, day.day) {
        (0, ..) => String::new(),
        (year, 0, _) => format!("{year:04}"),
        (year, month, 0) => format!("{month:02}/{year:04}"),
        (year, month, day) => format!("{day:02}/{month:02}/{year:04}"),
    }
}

/// What the register is told of an entry that the registry answered; none if it is not told of entries of this kind, or if it was taken over from an
/// old book (số hoá sổ cũ), which is no book of the years.
///
/// # Errors
/// If the registry withholds it, or something is missing.
pub fn told_entry(answer: &GetEntryResponse, agency_code: &str) -> Result<Option<ToldEntry>, NotTold> {
    let entered = answer.entry.as_ref().ok_or(NotTold::Missing("the entry"))?;
    let Some(kind) = kind_of(entered.event()) else {
        return Ok(None);
    };
    if entered.digitised.is_some() {
        return Ok(None);
    }
    if entered.withheld {
        return Err(NotTold::Withheld);
    }
    let stands: &Entry = answer.current.as_ref().unwrap_or(entered);
    let mut fields = Fields::default();
    let subjects = match kind {
        RegistrationKind::Birth => fields.birth(stands.birth.as_ref().ok_or(NotTold::Missing("the birth"))?)?,
        RegistrationKind::Marriage => {
            fields.marriage(stands.marriage.as_ref().ok_or(NotTold::Missing("the marriage"))?)?
        }
        RegistrationKind::Death => fields.death(stands.death.as_ref().ok_or(NotTold::Missing("the death"))?)?,
    };
    fields.code("", "loaiDangKy", entered.registration_kind);
    fields.put("", "noiDangKy", &entered.registration_place);
    fields.put("", "nguoiKy", &entered.signer_name);
    fields.put("", "chucVuNguoiKy", &entered.signer_title);
    fields.put("", "nguoiThucHien", &entered.performer_name);
    fields.put("", "ghiChu", &entered.note);
    for (place, correction) in (1..).zip(&answer.corrections) {
        let prefix = format!("thayDoi{place:02}");
        fields.put(&prefix, "So", &correction.printed_number);
        fields.day(&prefix, "NgayDangKy", correction.registration_date.as_ref());
    }
    for note in &answer.annotations {
        fields.note(note, &answer.annotations);
    }
    let register_date = entered.registration_date.as_ref().map(day_text).unwrap_or_default();
    if register_date.is_empty() {
        return Err(NotTold::Missing("the day of registration"));
    }
    let changes = answer.corrections.len().saturating_add(answer.annotations.len());
    // A child's personal number (số định danh cá nhân) may come after the entry: assigned once, and never taken away.
    let child = stands.birth.as_ref().and_then(|birth| birth.child.as_ref());
    let numbered = child.is_some_and(|child| !child.personal_number.is_empty());
    let changes = changes.saturating_add(usize::from(numbered));
    Ok(Some(ToldEntry {
        entry: BookEntry {
            key: entered.entry_id.clone(),
            version: i64::try_from(changes).unwrap_or(i64::MAX - 1).saturating_add(1),
            kind,
            agency_code: agency_code.to_owned(),
            year: entered.year,
            number: entered.printed_number.clone(),
            book: entered.volume.to_string(),
            page: entered.page.to_string(),
            register_date,
            fields: fields.0,
        },
        number: entered.number,
        subjects: subjects.into_iter().filter(|id| !id.is_empty()).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use egov_proto::egov::civil_registry::v1::{Child, DigitisedSource};

    use super::*;

    fn birth() -> Entry {
        Entry {
            entry_id: "e".to_owned(),
            event: EventKind::Birth.into(),
            year: 2026,
            number: 7,
            printed_number: "07/2026".to_owned(),
            volume: 1,
            page: 4,
            registration_date: Some(Date {
                year: 2026,
                month: 11,
                day: 3,
            }),
            birth: Some(Birth {
                child: Some(Child {
                    person_id: "p".to_owned(),
                    full_name: "Nguyễn Văn Bé".to_owned(),
                    ..Child::default()
                }),
                ..Birth::default()
            }),
            ..Entry::default()
        }
    }

    #[test]
    fn an_entry_is_told_as_it_stands_and_each_change_of_it_is_a_version() {
        let entered = GetEntryResponse {
            entry: Some(birth()),
            ..GetEntryResponse::default()
        };
        let told = told_entry(&entered, "H41.1").unwrap().unwrap();
        assert_eq!((told.entry.version, told.entry.number.as_str()), (1, "07/2026"));
        assert_eq!(told.entry.register_date, "03/11/2026");
        assert_eq!(told.entry.fields.get("nksHoTen").unwrap(), "Nguyễn Văn Bé");
        assert_eq!(told.subjects, ["p"]);

        let mut current = birth();
        current.birth.as_mut().unwrap().child.as_mut().unwrap().full_name = "Nguyễn Văn Bê".to_owned();
        let mut numbered = entered.clone();
        let birth = numbered.entry.as_mut().and_then(|entry| entry.birth.as_mut());
        birth.unwrap().child.as_mut().unwrap().personal_number = "040326000017".to_owned();
        let numbered = told_entry(&numbered, "H41.1").unwrap().unwrap();
        assert_eq!(numbered.entry.version, 2, "a number that comes later");

        let mut corrected = entered.clone();
        corrected.current = Some(current);
        corrected.corrections.push(Entry {
            printed_number: "01/2026".to_owned(),
            ..Entry::default()
        });
        corrected.annotations.push(Annotation {
            position: 1,
            text: "Ghi chú".to_owned(),
            ..Annotation::default()
        });
        let later = told_entry(&corrected, "H41.1").unwrap().unwrap();
        assert_eq!(later.entry.version, 3);
        assert_eq!(
            told.entry.differing(&later.entry),
            ["ghiChu01NoiDung", "nksHoTen", "thayDoi01So"]
        );
    }

    #[test]
    fn what_is_withheld_or_of_another_kind_or_of_an_old_book_is_not_told() {
        let of = |entry: Entry| GetEntryResponse {
            entry: Some(entry),
            ..GetEntryResponse::default()
        };
        let withheld = Entry {
            withheld: true,
            ..birth()
        };
        assert_eq!(told_entry(&of(withheld), "H41.1"), Err(NotTold::Withheld));
        let old = Entry {
            digitised: Some(DigitisedSource::default()),
            ..birth()
        };
        assert_eq!(told_entry(&of(old), "H41.1"), Ok(None));
        let change = Entry {
            event: EventKind::Change.into(),
            ..Entry::default()
        };
        assert_eq!(told_entry(&of(change), "H41.1"), Ok(None));
    }
}
