//! What a line of an old book says, by the columns of the national digitisation schema.
//!
//! Less is asked of it than of a registration of today: what is not written there is not known, and the rules of today are not those of its day. What
//! is asked is what an entry cannot be without, and that what is written can be read.

use egov_codes::normal_name;
use jiff::civil::Date;
use uuid::Uuid;

use super::{Columns, OldBook};
use crate::domain::birth::{Birth, BirthKind, Child, ForeignRegistration, Parent, Requester};
use crate::domain::book::EventKind;
use crate::domain::death::{Death, DeathNotice, DeathNoticeKind, Deceased};
use crate::domain::entry::{Details, RegistrationKind};
use crate::domain::finding::Violation;
use crate::domain::marriage::{Marriage, MarriageOutcome, Spouse};
use crate::domain::person::{
    Born, Country, EthnicGroup, EthnicGroups, IdentityPaper, IdentityPaperKind, Person, PersonName, ResidenceKind, Sex,
    born_of,
};

/// The highest number of an entry, a volume or a page.
const HIGHEST: i32 = 99_999;

/// The most characters of a column.
const LONGEST: usize = 4_000;

/// Columns of every kind.
const COMMON: [&str; 12] = [
    "so",
    "quyenSo",
    "trangSo",
    "ngayDangKy",
    "loaiDangKy",
    "noiDangKy",
    "nguoiKy",
    "chucVuNguoiKy",
    "nguoiThucHien",
    "ghiChu",
    "anhTrang",
    "anhTrangSha256",
];

/// Columns of a person: child, mother, father, husband, wife, deceased, requester. A personal number that somebody wrote beside an old entry is kept as
/// it is written, and nobody is made out by it.
const PERSON: [&str; 15] = [
    "HoTen",
    "SoDinhDanh",
    "NgaySinh",
    "DanToc",
    "QuocTich",
    "QuocTichKhac",
    "LoaiCuTru",
    "NoiCuTru",
    "LoaiGiayToTuyThan",
    "GiayToKhac",
    "SoGiayToTuyThan",
    "NgayCapGiayToTuyThan",
    "NoiCapGiayToTuyThan",
    "QuanHe",
    "GioiTinh",
];

/// Further columns of a child.
const CHILD: [&str; 6] = [
    "nksNgaySinhBangChu",
    "nksNoiSinh",
    "nksNoiSinhDVHC",
    "nksQueQuan",
    "nksLoaiKhaiSinh",
    "nksGhiChu",
];

/// Further columns of a death (their names are unconfirmed), as the Ministry's register is told them.
const DEATH: [&str; 9] = [
    "nktNgayChet",
    "nktNgayChetBangChu",
    "nktGioChet",
    "nktNoiChet",
    "nktNguyenNhanChet",
    "loaiGiayBaoTu",
    "soGiayBaoTu",
    "ngayGiayBaoTu",
    "coQuanGiayBaoTu",
];

/// What was registered abroad.
const ABROAD: [&str; 4] = [
    "soDangKyNuocNgoai",
    "ngayDangKyNuocNgoai",
    "coQuanDangKyNuocNgoai",
    "quocGiaDangKyNuocNgoai",
];

/// What a line says.
#[derive(Clone, PartialEq, Eq)]
pub struct OldEntry {
    /// Số.
    pub number: i32,
    /// Quyển số, as a number.
    pub volume: i32,
    /// Trang số, as a number.
    pub page: i32,
    /// Quyển số as it is written.
    pub volume_written: String,
    /// Trang số as it is written.
    pub page_written: String,
    /// SHA-256 of the scan of the page, hexadecimal; empty if none is named.
    pub scan_sha256: String,
    /// Loại đăng ký; where nothing is written, the ordinary one.
    pub registration_kind: RegistrationKind,
    /// Ngày đăng ký.
    pub registration_date: Date,
    /// Nơi đăng ký.
    pub registration_place: String,
    /// Họ tên người ký.
    pub signer_name: String,
    /// Chức vụ người ký.
    pub signer_title: String,
    /// Người thực hiện.
    pub performer_name: String,
    /// Ghi chú.
    pub note: String,
    /// What happened; whose the ids of persons are is not known yet.
    pub details: Details,
}

/// What is read of a line, and everything that cannot be.
struct Reading<'a> {
    columns: &'a Columns,
    groups: &'a EthnicGroups,
    today: Date,
    wrong: Vec<Violation>,
}

/// Whether the schema has this column for an entry of this kind.
fn is_known(event: EventKind, name: &str) -> bool {
    let of_person = |prefix: &str| name.strip_prefix(prefix).is_some_and(|part| PERSON.contains(&part));
    let of_kind = match event {
        EventKind::Birth => {
            CHILD.contains(&name)
                || ABROAD.contains(&name)
                || name.starts_with("nksMatTich")
                || name.starts_with("nksHanCheNangLucHanhVi")
                || ["nks", "me", "cha", "nyc"].into_iter().any(of_person)
        }
        EventKind::Marriage => name == "tinhTrangKetHon" || ["chong", "vo"].into_iter().any(of_person),
        EventKind::Death => {
            DEATH.contains(&name) || ABROAD.contains(&name) || ["nkt", "nyc"].into_iter().any(of_person)
        }
        _ => false,
    };
    of_kind || COMMON.contains(&name)
}

/// Year, month and day of a date as it is written: `12/05/1950`, `12.5.1950`, `1950-05-12`, `05/1950`, `1950`; 0 where a part is not known.
fn parts_of(text: &str) -> Option<(i32, i32, i32)> {
    let parts: Vec<&str> = text
        .split(['/', '.', '-', ' '])
        .filter(|part| !part.is_empty())
        .collect();
    let is_number = |part: &&str| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !parts.iter().all(is_number) {
        return None;
    }
    let number = |part: &str| part.parse::<i32>().ok();
    match *parts.as_slice() {
        [year] if year.len() == 4 => Some((number(year)?, 0, 0)),
        [year, month] if year.len() == 4 => Some((number(year)?, number(month)?, 0)),
        [month, year] if year.len() == 4 => Some((number(year)?, number(month)?, 0)),
        [year, month, day] if year.len() == 4 => Some((number(year)?, number(month)?, number(day)?)),
        [day, month, year] if year.len() == 4 => Some((number(year)?, number(month)?, number(day)?)),
        _ => None,
    }
}

/// A whole day, as it is written.
fn day_of(text: &str) -> Option<Date> {
    let (year, month, day) = parts_of(text)?;
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()
}

impl<'a> Reading<'a> {
    /// What stands in a column, without blanks around it.
    fn text(&self, name: &str) -> &'a str {
        self.columns.get(name).map_or("", |value| value.trim())
    }

    fn of(&self, prefix: &str, part: &str) -> &'a str {
        self.text(&format!("{prefix}{part}"))
    }

    fn refuse(&mut self, code: &'static str, field: impl Into<String>, (vi, en): (&str, &str)) {
        self.wrong.push(Violation::of_shape(code, field, vi, en));
    }

    /// Every column is one of the schema, not longer than any, and of letters that are shown.
    fn shape(&mut self, event: EventKind) {
        for (name, value) in self.columns {
            if !is_known(event, name) {
                // The name is the caller's: it is not repeated beyond what a name is.
                let field: String = name.chars().take(100).collect();
                self.refuse(
                    "unknown_column",
                    field,
                    (
                        "không có cột này trong cấu trúc số hoá của loại việc",
                        "the schema has no such column for this kind",
                    ),
                );
                continue;
            }
            let is_control = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
            if value.chars().any(is_control) {
                self.refuse(
                    "control_character",
                    name.as_str(),
                    ("có ký tự điều khiển", "has control characters"),
                );
            }
            if value.chars().count() > LONGEST {
                self.refuse("too_long", name.as_str(), ("quá dài", "is too long"));
            }
        }
    }

    /// A number as it is written: `12`, `012`, `12/1985`, `12a` are 12.
    fn number(&mut self, name: &str) -> Option<i32> {
        let text = self.text(name);
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number = text
            .get(..digits)
            .and_then(|digits| digits.parse::<i32>().ok())
            .filter(|number| (1..=HIGHEST).contains(number));
        if number.is_none() {
            self.refuse(
                "number",
                name,
                (
                    "phải bắt đầu bằng một số từ 1 đến 99999",
                    "begins with a number from 1 to 99999",
                ),
            );
        }
        number
    }

    /// A code; none if nothing is written.
    fn code(&mut self, name: &str, codes: std::ops::RangeInclusive<i16>) -> Option<i16> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        let code = text.parse::<i16>().ok().filter(|code| codes.contains(code));
        if code.is_none() {
            self.refuse("code", name, ("không có mã này", "there is no such code"));
        }
        code
    }

    /// A day that has to be there as a whole.
    fn demanded_day(&mut self, name: &str) -> Option<Date> {
        let day = day_of(self.text(name)).filter(|day| *day <= self.today);
        if day.is_none() {
            self.refuse(
                "day",
                name,
                (
                    "phải là một ngày đầy đủ, không sau hôm nay",
                    "is a whole day, not after today",
                ),
            );
        }
        day
    }

    /// A day as far as it is known; none if nothing is written.
    fn known(&mut self, name: &str) -> Option<Born> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        let Some(parts) = parts_of(text) else {
            self.refuse(
                "date",
                name,
                (
                    "không phải ngày, tháng/năm hoặc năm",
                    "is no day, month and year, or year",
                ),
            );
            return None;
        };
        born_of(name, parts, self.today)
            .map_err(|found| self.wrong.push(found))
            .ok()
    }

    fn name(&mut self, name: &str) -> Option<PersonName> {
        PersonName::read(self.text(name))
            .map_err(|no| {
                self.wrong
                    .push(Violation::of_shape(no.code(), name, no.vi(), no.to_string()));
            })
            .ok()
    }

    /// Dân tộc by code or name. What is on no list stays as it is written and is not known otherwise.
    fn ethnic_group(&self, written: &str) -> Option<EthnicGroup> {
        let wanted = normal_name(written).to_lowercase();
        self.groups.find(written).or_else(|| {
            let mut groups = self.groups.iter();
            let (code, _) = groups.find(|(_, name)| name.to_lowercase() == wanted)?;
            self.groups.find(code)
        })
    }

    fn country(written: &str) -> Option<Country> {
        match normal_name(written).to_lowercase().as_str() {
            "việt nam" => Some(Country::VIET_NAM),
            other => Country::read(&other.to_uppercase()).ok(),
        }
    }

    fn person(&mut self, prefix: &str, sex: Option<Sex>) -> Option<Person> {
        let full_name = self.name(&format!("{prefix}HoTen"));
        let born = self.known(&format!("{prefix}NgaySinh"));
        let nationality = Self::country(self.of(prefix, "QuocTich"));
        let other_nationality = Self::country(self.of(prefix, "QuocTichKhac"));
        Some(Person {
            full_name: full_name?,
            sex: sex?,
            born,
            ethnic_group: self.ethnic_group(self.of(prefix, "DanToc")),
            nationality,
            other_nationality: other_nationality.filter(|other| nationality.is_some_and(|first| first != *other)),
            // An old book has none, and who has one today is not told by it.
            personal_number: None,
        })
    }

    fn sex(&mut self, name: &str) -> Option<Sex> {
        let sex = self.text(name).parse::<i16>().ok().and_then(Sex::of_code);
        if sex.is_none() {
            self.refuse(
                "sex",
                name,
                (
                    "giới tính phải là 1 nam, 2 nữ hoặc 3 chưa xác định",
                    "the sex is 1 male, 2 female or 3 not determined",
                ),
            );
        }
        sex
    }

    /// Giấy tờ tuỳ thân as it is written; the rules of today's numbers are not asked of it.
    fn paper(&mut self, prefix: &str) -> Option<IdentityPaper> {
        let code = self.code(&format!("{prefix}LoaiGiayToTuyThan"), 0..=9);
        let number = normal_name(self.of(prefix, "SoGiayToTuyThan"));
        if number.is_empty() {
            return None;
        }
        Some(IdentityPaper {
            kind: code
                .and_then(IdentityPaperKind::of_code)
                .unwrap_or(IdentityPaperKind::Other),
            other_name: normal_name(self.of(prefix, "GiayToKhac")),
            number,
            issue_date: day_of(self.of(prefix, "NgayCapGiayToTuyThan")),
            issue_place: normal_name(self.of(prefix, "NoiCapGiayToTuyThan")),
        })
    }

    fn residence_kind(&mut self, prefix: &str) -> Option<ResidenceKind> {
        let code = self.code(&format!("{prefix}LoaiCuTru"), 0..=2)?;
        ResidenceKind::of_code(code)
    }

    /// Whether anything is told of this person.
    fn tells_of(&self, prefix: &str) -> bool {
        PERSON.iter().any(|part| !self.of(prefix, part).is_empty())
    }

    fn requester(&mut self) -> Option<Requester> {
        if !self.tells_of("nyc") {
            return None;
        }
        let paper = self.paper("nyc");
        Some(Requester {
            full_name: self.name("nycHoTen")?,
            relationship: normal_name(self.text("nycQuanHe")),
            paper,
        })
    }

    /// What was registered abroad, if all of it is written; else it stands in the columns alone.
    fn abroad(&self) -> Option<ForeignRegistration> {
        let text = |name: &str| Some(normal_name(self.text(name))).filter(|text| !text.is_empty());
        Some(ForeignRegistration {
            number: text("soDangKyNuocNgoai")?,
            date: day_of(self.text("ngayDangKyNuocNgoai"))?,
            authority: text("coQuanDangKyNuocNgoai")?,
            country: Self::country(self.text("quocGiaDangKyNuocNgoai"))?,
        })
    }

    fn parent(&mut self, prefix: &str, sex: Sex) -> Option<Parent> {
        if !self.tells_of(prefix) {
            return None;
        }
        let person = self.person(prefix, Some(sex));
        let residence_kind = self.residence_kind(prefix);
        let paper = self.paper(prefix);
        Some(Parent {
            person_id: Uuid::nil(),
            person: person?,
            residence_kind,
            residence: normal_name(self.of(prefix, "NoiCuTru")),
            paper,
        })
    }

    fn not_after(&mut self, born: Option<Born>, day: Option<Date>, name: &str) {
        if let (Some(born), Some(day)) = (born, day)
            && born.is_after(day)
        {
            self.refuse(
                "after_registration",
                name,
                (
                    "không được sau ngày đăng ký",
                    "must not be after the day of the registration",
                ),
            );
        }
    }

    fn birth(&mut self, registered: Option<Date>) -> Option<Birth> {
        let sex = self.sex("nksGioiTinh");
        let person = self.person("nks", sex);
        if self.text("nksNgaySinh").is_empty() {
            self.refuse("birth_date", "nksNgaySinh", ("bắt buộc phải có", "is required"));
        }
        self.not_after(
            person.as_ref().and_then(|person| person.born),
            registered,
            "nksNgaySinh",
        );
        let mother = self.parent("me", Sex::Female);
        let father = self.parent("cha", Sex::Male);
        let written = self.code("nksLoaiKhaiSinh", 1..=5).and_then(BirthKind::of_code);
        let (has_mother, has_father) = (self.tells_of("me"), self.tells_of("cha"));
        let kind = written.unwrap_or(match (has_mother, has_father) {
            (true, true) => BirthKind::BothParents,
            (false, true) => BirthKind::MotherUnknown,
            (true, false) => BirthKind::FatherUnknown,
            (false, false) => BirthKind::ParentsUnknown,
        });
        if (kind.has_mother(), kind.has_father()) != (has_mother, has_father) {
            self.refuse(
                "birth_kind",
                "nksLoaiKhaiSinh",
                (
                    "không khớp với phần ghi về cha, mẹ",
                    "does not fit what is written of the parents",
                ),
            );
        }
        let requester = self.requester();
        Some(Birth {
            kind,
            child: Child {
                person_id: Uuid::nil(),
                person: person?,
                place_of_birth: normal_name(self.text("nksNoiSinh")),
                place_of_birth_code: self.text("nksNoiSinhDVHC").to_owned(),
                home_town: normal_name(self.text("nksQueQuan")),
            },
            mother,
            father,
            requester,
            foreign_registration: self.abroad(),
            abandonment: None,
        })
    }

    fn spouse(&mut self, prefix: &str, sex: Sex) -> Option<Spouse> {
        let person = self.person(prefix, Some(sex));
        let residence_kind = self.residence_kind(prefix);
        let paper = self.paper(prefix);
        Some(Spouse {
            person_id: Uuid::nil(),
            person: person?,
            residence_kind,
            residence: normal_name(self.of(prefix, "NoiCuTru")),
            paper,
            marital_status_paper: None,
            marital_status_inquiry: None,
            // The columns do not tell.
            was_present: false,
            declared_will: false,
        })
    }

    fn marriage(&mut self, kind: Option<i16>) -> Option<Marriage> {
        let husband = self.spouse("chong", Sex::Male);
        let wife = self.spouse("vo", Sex::Female);
        let outcome = self.code("tinhTrangKetHon", 0..=3);
        Some(Marriage {
            husband: husband?,
            wife: wife?,
            outcome: outcome.and_then(MarriageOutcome::of_code),
            again: kind == Some(RegistrationKind::Again.code()),
            first_registration_date: None,
        })
    }

    fn death(&mut self, kind: Option<i16>, registered: Option<Date>) -> Option<Death> {
        let sex = self.sex("nktGioiTinh");
        let person = self.person("nkt", sex);
        let residence_kind = self.residence_kind("nkt");
        let paper = self.paper("nkt");
        let died = self.known("nktNgayChet");
        if self.text("nktNgayChet").is_empty() {
            self.refuse("death_date", "nktNgayChet", ("bắt buộc phải có", "is required"));
        }
        self.not_after(died, registered, "nktNgayChet");
        let notice = self.code("loaiGiayBaoTu", 0..=7).and_then(DeathNoticeKind::of_code);
        let requester = self.requester();
        Some(Death {
            deceased: Deceased {
                person_id: Uuid::nil(),
                person: person?,
                residence_kind,
                residence: normal_name(self.text("nktNoiCuTru")),
                paper,
            },
            died: died?,
            time: normal_name(self.text("nktGioChet")),
            place: normal_name(self.text("nktNoiChet")),
            cause: normal_name(self.text("nktNguyenNhanChet")),
            notice: DeathNotice {
                kind: notice.unwrap_or(DeathNoticeKind::Missing),
                number: normal_name(self.text("soGiayBaoTu")),
                date: day_of(self.text("ngayGiayBaoTu")),
                authority: normal_name(self.text("coQuanGiayBaoTu")),
            },
            requester,
            foreign_registration: self.abroad(),
            again: kind == Some(RegistrationKind::Again.code()),
        })
    }

    fn scan(&mut self) -> String {
        let scan = self.text("anhTrangSha256").to_ascii_lowercase();
        let is_digest = scan.len() == 64 && scan.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !scan.is_empty() && !is_digest {
            self.refuse(
                "scan",
                "anhTrangSha256",
                (
                    "phải là giá trị SHA-256 gồm 64 chữ số thập lục phân",
                    "is a SHA-256 of 64 hexadecimal digits",
                ),
            );
        }
        scan
    }
}

/// Reads a line of a book.
///
/// # Errors
/// Every violation, at the column that it is about.
pub fn read(book: &OldBook, columns: &Columns, groups: &EthnicGroups, today: Date) -> Result<OldEntry, Vec<Violation>> {
    let mut reading = Reading {
        columns,
        groups,
        today,
        wrong: Vec::new(),
    };
    reading.shape(book.event);
    let number = reading.number("so");
    let page = reading.number("trangSo");
    // A book of one volume does not name it.
    let volume = if reading.text("quyenSo").is_empty() {
        Some(1)
    } else {
        reading.number("quyenSo")
    };
    let registration_date = reading.demanded_day("ngayDangKy");
    let kind = reading.code("loaiDangKy", 1..=4);
    let scan_sha256 = reading.scan();
    let details = match book.event {
        EventKind::Birth => reading
            .birth(registration_date)
            .map(|birth| Details::Birth(Box::new(birth))),
        EventKind::Marriage => reading
            .marriage(kind)
            .map(|marriage| Details::Marriage(Box::new(marriage))),
        EventKind::Death => reading
            .death(kind, registration_date)
            .map(|death| Details::Death(Box::new(death))),
        _ => {
            reading.refuse(
                "kind_not_taken",
                "line",
                (
                    "chưa nhận số hoá loại sổ này",
                    "books of this kind are not taken over yet",
                ),
            );
            None
        }
    };
    let place = normal_name(reading.text("noiDangKy"));
    match (number, volume, page, registration_date, details) {
        (Some(number), Some(volume), Some(page), Some(registration_date), Some(details))
            if reading.wrong.is_empty() =>
        {
            Ok(OldEntry {
                number,
                volume,
                page,
                volume_written: reading.text("quyenSo").to_owned(),
                page_written: reading.text("trangSo").to_owned(),
                scan_sha256,
                registration_kind: kind
                    .and_then(RegistrationKind::of_code)
                    .unwrap_or(RegistrationKind::OnTime),
                registration_date,
                registration_place: if place.is_empty() { book.kept_by.clone() } else { place },
                signer_name: normal_name(reading.text("nguoiKy")),
                signer_title: normal_name(reading.text("chucVuNguoiKy")),
                performer_name: normal_name(reading.text("nguoiThucHien")),
                note: reading.text("ghiChu").to_owned(),
                details,
            })
        }
        _ => Err(reading.wrong),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn book(event: EventKind) -> OldBook {
        OldBook {
            book_id: Uuid::nil(),
            unit_id: 2,
            event,
            year: 1985,
            kept_by: "Uỷ ban nhân dân xã Hưng Đông".to_owned(),
            label: String::new(),
        }
    }

    fn groups() -> EthnicGroups {
        EthnicGroups::from_text("code,name\n01,Kinh\n02,Tày\n").unwrap()
    }

    fn columns(said: &[(&str, &str)]) -> Columns {
        said.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    const BIRTH: [(&str, &str); 10] = [
        ("so", "12/1985"),
        ("quyenSo", "01"),
        ("trangSo", "7b"),
        ("ngayDangKy", "03.05.1985"),
        ("nksHoTen", "Nguyễn  Thị  Bé"),
        ("nksGioiTinh", "2"),
        ("nksNgaySinh", "1985"),
        ("nksDanToc", "kinh"),
        ("meHoTen", "Trần Thị Mẹ"),
        ("meNgaySinh", "05/1960"),
    ];

    fn found(event: EventKind, said: &[(&str, &str)]) -> Vec<(String, &'static str)> {
        let wrong = read(&book(event), &columns(said), &groups(), date(2026, 11, 23)).err();
        let wrong = wrong.unwrap_or_default().into_iter();
        wrong.map(|one| (one.field, one.code)).collect()
    }

    #[test]
    fn what_is_written_is_read_as_far_as_it_is_known() {
        let read = read(&book(EventKind::Birth), &columns(&BIRTH), &groups(), date(2026, 11, 23))
            .map_err(|wrong| wrong.len())
            .ok()
            .unwrap();
        assert_eq!((read.number, read.volume, read.page), (12, 1, 7));
        assert_eq!(read.page_written, "7b");
        assert_eq!(read.registration_date, date(1985, 5, 3));
        assert_eq!(read.registration_place, "Uỷ ban nhân dân xã Hưng Đông");
        let Details::Birth(birth) = &read.details else {
            panic!("a birth is read as one");
        };
        assert_eq!(birth.kind, BirthKind::FatherUnknown);
        assert_eq!(birth.child.person.full_name.as_str(), "Nguyễn Thị Bé");
        assert_eq!(birth.child.person.born.map(Born::numbers), Some((1985, 0, 0)));
        assert_eq!(
            birth.child.person.ethnic_group.as_ref().map(EthnicGroup::code),
            Some("01")
        );
        let mother = birth.mother.as_ref().and_then(|mother| mother.person.born);
        assert_eq!(mother.map(Born::numbers), Some((1960, 5, 0)));
        assert!(birth.requester.is_none());
    }

    #[test]
    fn every_violation_of_a_line_is_named_at_its_column() {
        let wrong = found(
            EventKind::Birth,
            &[
                ("so", "không"),
                ("ngayDangKy", "1985"),
                ("loaiDangKy", "9"),
                ("nksHoTen", "123"),
                ("nksNgaySinh", "khoảng 1980"),
                ("nksLoaiKhaiSinh", "1"),
                ("meNgaySinh", "1960"),
                ("hoTen", "x"),
            ],
        );
        let named: Vec<(&str, &str)> = wrong.iter().map(|(field, code)| (field.as_str(), *code)).collect();
        for expected in [
            ("hoTen", "unknown_column"),
            ("so", "number"),
            ("trangSo", "number"),
            ("ngayDangKy", "day"),
            ("loaiDangKy", "code"),
            ("nksGioiTinh", "sex"),
            ("nksHoTen", "name_characters"),
            ("nksNgaySinh", "date"),
            ("meHoTen", "name_missing"),
            ("nksLoaiKhaiSinh", "birth_kind"),
        ] {
            assert!(named.contains(&expected), "{expected:?} in {named:?}");
        }
        assert_eq!(
            found(EventKind::Guardianship, &[("so", "1")]).last().map(|one| one.1),
            Some("kind_not_taken")
        );
    }

    #[test]
    fn dates_are_taken_as_they_are_written() {
        for (text, parts) in [
            ("1950", Some((1950, 0, 0))),
            ("05/1950", Some((1950, 5, 0))),
            ("--.05.1950", Some((1950, 5, 0))),
            ("12/5/1950", Some((1950, 5, 12))),
            ("1950-05-12", Some((1950, 5, 12))),
            ("00.00.1950", Some((1950, 0, 0))),
            ("12/5/50", None),
            ("", None),
        ] {
            assert_eq!(parts_of(text), parts, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_line_says_it_is_read_or_refused_with_a_reason(
            event in prop_oneof![Just(EventKind::Birth), Just(EventKind::Marriage), Just(EventKind::Death)],
            said in proptest::collection::btree_map("(so|quyenSo|trangSo|ngayDangKy|loaiDangKy|nksHoTen|nksNgaySinh|nksGioiTinh|chongHoTen|voHoTen|nktHoTen|nktGioiTinh|nktNgayChet|loaiGiayBaoTu|[a-zA-Z]{0,9})", "\\PC{0,12}|[0-9/.]{0,10}", 0..14),
        ) {
            match read(&book(event), &said, &groups(), date(2026, 11, 23)) {
                Ok(entry) => prop_assert!(entry.number > 0 && entry.page > 0 && entry.volume > 0),
                Err(wrong) => prop_assert!(!wrong.is_empty()),
            }
        }
    }
}
