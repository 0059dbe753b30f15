//! What stands on a paper. How it looks is the business of whoever prints it ([`crate::press`]): of that this is the content, field by field. What is
//! not known is an empty field, which is printed as a dotted line.

use egov_codes::PersonalNumber;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PaperKind;
use crate::domain::adoption::Adoption;
use crate::domain::annotation::Annotation;
use crate::domain::birth::{Birth, Parent};
use crate::domain::correction::{CorrectedField, Correction, CorrectionKind};
use crate::domain::death::Death;
use crate::domain::entry::{Details, Entry, RelationKind, printed_number};
use crate::domain::guardianship::Guardianship;
use crate::domain::marriage::{Marriage, Spouse};
use crate::domain::party::Party;
use crate::domain::person::{Born, Country, EthnicGroups, Person, Sex};
use crate::domain::recognition::Recognition;
use crate::domain::rules::Rules;

/// A day as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// 1 to 31.
    pub day: i8,
    /// 1 to 12.
    pub month: i8,
    /// Year.
    pub year: i16,
}

/// A part of the body. Without `Debug`: what people are called stands in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Block {
    /// Words of the form.
    Text {
        /// The words.
        text: String,
    },
    /// A labelled field; an empty value leaves a dotted line.
    Field {
        /// Its stable name.
        code: String,
        /// As it stands on the paper.
        label: String,
        /// What it holds.
        value: String,
    },
    /// A table.
    Table {
        /// Its stable name.
        code: String,
        /// Above it; empty if there is nothing.
        label: String,
        /// From left to right.
        columns: Vec<Column>,
        /// Each as long as the columns.
        rows: Vec<Vec<String>>,
    },
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its stable name.
    pub code: String,
    /// Its head.
    pub label: String,
    /// Its share of the width.
    pub width: u16,
    /// In the middle rather than on the left.
    pub centred: bool,
}

/// A place to sign. Without `Debug`: it names people.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Chức vụ.
    pub title: String,
    /// How it is signed.
    pub hint: String,
    /// Who signs.
    pub name: String,
}

/// Everything that stands on a paper. Its fields are those that the press reads (`crates/papers`).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Number of the official form; empty, since the layout is ours.
    pub form_number: String,
    /// Which circular; empty.
    pub form_basis: String,
    /// Of forms of a circular only.
    pub form_unconfirmed: bool,
    /// Above the agency.
    pub agency_parent: String,
    /// Cơ quan that issues.
    pub agency: String,
    /// Số of the entry, without the year.
    pub number: String,
    /// Whether it has a number.
    pub numbered: bool,
    /// Năm behind the number.
    pub symbol: String,
    /// Địa danh.
    pub place: String,
    /// Ngày cấp.
    pub date: Option<Day>,
    /// Tên giấy tờ.
    pub title: String,
    /// Below it: that it is a copy.
    pub subtitle: String,
    /// What the QR code says: the ledger's receipt; empty until it is printed.
    pub qr: String,
    /// At the foot of each page.
    pub qr_label: String,
    /// Khổ ngang.
    pub landscape: bool,
    /// The body, in its order.
    pub blocks: Vec<Block>,
    /// Who signs.
    pub signatures: Vec<Signature>,
    /// Below everything, in small letters.
    pub notes: Vec<String>,
}

/// Shows nothing of a person.
impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

/// The names that a paper bears.
#[derive(Clone, Debug)]
pub struct Office {
    /// The unit above, the province.
    pub parent: String,
    /// The commune, as the unit is called (Phường …, Xã …).
    pub commune: String,
}

/// Of what a paper is made. Without `Debug`: it names people.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Its id.
    pub paper_id: Uuid,
    /// Mã kiểm tra.
    pub check_code: &'a str,
    /// Tên giấy tờ.
    pub title: &'a str,
    /// Loại giấy tờ.
    pub kind: PaperKind,
    /// Bản sao.
    pub is_copy: bool,
    /// The entry, as it was entered.
    pub entry: &'a Entry,
    /// What it says now.
    pub stands: &'a Details,
    /// Of a correction the entry that it corrects, as that stands now.
    pub corrected: Option<(&'a Entry, &'a Details)>,
    /// What courts decided of the marriage.
    pub annotations: &'a [&'a Annotation],
    /// Names.
    pub office: &'a Office,
    /// The rules of the day of the issue.
    pub rules: &'a Rules,
    /// Danh mục dân tộc.
    pub ethnic_groups: &'a EthnicGroups,
    /// Họ tên người ký.
    pub signer_name: &'a str,
    /// Chức vụ người ký.
    pub signer_title: &'a str,
    /// Ngày cấp.
    pub issue_date: Date,
}

fn shown_day(day: Date) -> String {
    day.strftime("%d/%m/%Y").to_string()
}

/// A date as far as it is known.
fn shown_born(born: Born) -> String {
    match born.parts() {
        (year, Some(month), Some(day)) => format!("{day:02}/{month:02}/{year}"),
        (year, Some(month), None) => format!("{month:02}/{year}"),
        (year, None, _) => year.to_string(),
    }
}

/// Việt Nam by name; of other countries the code of ISO 3166, since no list of their names in Vietnamese is confirmed.
fn shown_country(country: Country) -> String {
    if country == Country::VIET_NAM {
        "Việt Nam".to_owned()
    } else {
        country.code().to_owned()
    }
}

/// The unit's own name, without what kind of unit it is.
fn place_of(commune: &str) -> String {
    ["Xã ", "Phường ", "Thị trấn "]
        .into_iter()
        .find_map(|kind| commune.strip_prefix(kind))
        .unwrap_or(commune)
        .to_owned()
}

/// The body, as it grows.
struct Body<'a> {
    ethnic_groups: &'a EthnicGroups,
    blocks: Vec<Block>,
}

impl Body<'_> {
    fn field(&mut self, code: &str, label: &str, value: impl Into<String>) {
        self.blocks.push(Block::Field {
            code: code.to_owned(),
            label: label.to_owned(),
            value: value.into(),
        });
    }

    fn text(&mut self, text: &str) {
        self.blocks.push(Block::Text { text: text.to_owned() });
    }

    /// Name, birth, ethnic group and nationalities.
    fn person(&mut self, at: &str, named: &str, person: &Person) {
        let code = |name: &str| format!("{at}.{name}");
        self.field(&code("full_name"), named, person.full_name.as_str());
        let born = person.born.map(shown_born).unwrap_or_default();
        self.field(&code("date_of_birth"), "Ngày, tháng, năm sinh", born);
        let group = person.ethnic_group.as_ref();
        let group = group
            .and_then(|group| self.ethnic_groups.name(group))
            .unwrap_or_default();
        let group = group.to_owned();
        self.field(&code("ethnic_group"), "Dân tộc", group);
        let nationalities: Vec<String> = [person.nationality, person.other_nationality]
            .into_iter()
            .flatten()
            .map(shown_country)
            .collect();
        self.field(&code("nationality"), "Quốc tịch", nationalities.join(", "));
    }

    fn number(&mut self, at: &str, person: &Person) {
        let number = person.personal_number.as_ref();
        let number = number.map(PersonalNumber::reveal).unwrap_or_default();
        self.field(&format!("{at}.personal_number"), "Số định danh cá nhân", number);
    }

    fn birth(&mut self, birth: &Birth) {
        let child = &birth.child;
        let at = "birth.child";
        self.person(at, "Họ, chữ đệm, tên", &child.person);
        self.field("birth.child.sex", "Giới tính", child.person.sex.vi());
        self.field("birth.child.place_of_birth", "Nơi sinh", child.place_of_birth.as_str());
        self.field("birth.child.home_town", "Quê quán", child.home_town.as_str());
        self.number(at, &child.person);
        self.parent("birth.mother", "Họ, chữ đệm, tên người mẹ", birth.mother.as_ref());
        self.parent("birth.father", "Họ, chữ đệm, tên người cha", birth.father.as_ref());
    }

    /// A parent who is not known leaves a dotted line.
    fn parent(&mut self, at: &str, named: &str, parent: Option<&Parent>) {
        match parent {
            Some(parent) => {
                self.person(at, named, &parent.person);
                self.field(&format!("{at}.residence"), "Nơi cư trú", parent.residence.as_str());
            }
            None => self.field(&format!("{at}.full_name"), named, ""),
        }
    }

    fn marriage(&mut self, marriage: &Marriage) {
        self.spouse("marriage.husband", "Họ, chữ đệm, tên chồng", &marriage.husband);
        self.spouse("marriage.wife", "Họ, chữ đệm, tên vợ", &marriage.wife);
    }

    fn spouse(&mut self, at: &str, named: &str, spouse: &Spouse) {
        self.person(at, named, &spouse.person);
        self.field(&format!("{at}.residence"), "Nơi cư trú", spouse.residence.as_str());
        let paper = spouse.paper.as_ref();
        let paper = paper.map(|paper| format!("{} số {}", paper.kind.vi(), paper.number));
        self.field(&format!("{at}.paper"), "Giấy tờ tuỳ thân", paper.unwrap_or_default());
    }

    /// Without the cause, which is sensitive.
    fn death(&mut self, death: &Death) {
        let person = &death.deceased.person;
        let at = "death.deceased";
        self.person(at, "Họ, chữ đệm, tên", person);
        self.field("death.deceased.sex", "Giới tính", person.sex.vi());
        self.number(at, person);
        self.field(
            "death.deceased.residence",
            "Nơi cư trú cuối cùng",
            death.deceased.residence.as_str(),
        );
        let died = shown_born(death.died);
        let died = if death.time.is_empty() {
            died
        } else {
            format!("{} ngày {died}", death.time)
        };
        self.field("death.date_of_death", "Đã chết vào lúc", died);
        self.field("death.place_of_death", "Nơi chết", death.place.as_str());
    }

    /// Somebody whom an entry of guardianship, recognition or adoption is of.
    fn party(&mut self, at: &str, named: &str, party: &Party) {
        self.person(at, named, &party.person);
        self.field(&format!("{at}.sex"), "Giới tính", party.person.sex.vi());
        self.number(at, &party.person);
        self.field(&format!("{at}.residence"), "Nơi cư trú", party.residence.as_str());
    }

    /// Without the ground, which is sensitive.
    fn guardianship(&mut self, guardianship: &Guardianship) {
        self.field("guardianship.act", "Loại việc", guardianship.act.vi());
        let guardian = &guardianship.guardian;
        self.party("guardianship.guardian", "Họ, chữ đệm, tên người giám hộ", guardian);
        let ward = &guardianship.ward;
        self.party("guardianship.ward", "Họ, chữ đệm, tên người được giám hộ", ward);
        if let Some(supervisor) = &guardianship.supervisor {
            let named = "Họ, chữ đệm, tên người giám sát việc giám hộ";
            self.party("guardianship.supervisor", named, supervisor);
        }
        if let Some(kind) = guardianship.kind {
            self.field("guardianship.kind", "Loại giám hộ", kind.vi());
        }
        if let Some(ended) = guardianship.end_date {
            self.field("guardianship.end_date", "Ngày chấm dứt giám hộ", shown_day(ended));
        }
    }

    fn recognition(&mut self, recognition: &Recognition) {
        self.field("recognition.kind", "Loại việc", recognition.kind.vi());
        let named = match recognition.kind.relation() {
            RelationKind::Mother => "Họ, chữ đệm, tên người mẹ",
            _ => "Họ, chữ đệm, tên người cha",
        };
        self.party("recognition.parent", named, &recognition.parent);
        self.party("recognition.child", "Họ, chữ đệm, tên người con", &recognition.child);
    }

    fn adoption(&mut self, adoption: &Adoption) {
        for (party, at) in adoption.adopters() {
            self.party(at, "Họ, chữ đệm, tên người nhận con nuôi", party);
        }
        let named = "Họ, chữ đệm, tên người được nhận làm con nuôi";
        self.party("adoption.child", named, &adoption.child);
    }

    fn correction(&mut self, correction: &Correction, corrected: Option<(&Entry, &Details)>) {
        let kind = match correction.kind {
            CorrectionKind::Change => "Thay đổi hộ tịch",
            CorrectionKind::Correction => "Cải chính hộ tịch",
            CorrectionKind::Supplement => "Bổ sung thông tin hộ tịch",
            CorrectionKind::Ethnicity => "Xác định lại dân tộc",
        };
        self.field("correction.kind", "Loại việc", kind);
        if let Some((entry, stands)) = corrected {
            self.field("correction.names", "Của", names(stands).join(", "));
            let of = format!(
                "sổ đăng ký {}, số {}, ngày {}",
                entry.event.vi(),
                printed_number(entry.number, entry.year),
                shown_day(entry.registration_date)
            );
            self.field("correction.of", "Đã đăng ký tại", of);
        }
        let column = |code: &str, label: &str| Column {
            code: code.to_owned(),
            label: label.to_owned(),
            width: 1,
            centred: false,
        };
        let rows: Vec<Vec<String>> = correction
            .fields
            .iter()
            .map(|field| {
                vec![
                    shown_field(&field.field),
                    self.shown_value(field, &field.before),
                    self.shown_value(field, &field.after),
                ]
            })
            .collect();
        self.blocks.push(Block::Table {
            code: "correction.fields".to_owned(),
            label: "Nội dung".to_owned(),
            columns: vec![column("field", "Mục"), column("before", "Từ"), column("after", "Thành")],
            rows,
        });
        let basis = format!(
            "{}, ngày {}, {}",
            correction.basis_number,
            shown_day(correction.basis_date),
            correction.basis_authority
        );
        self.field("correction.basis", "Căn cứ", basis);
    }

    /// What stood or stands in a field, as people read it.
    fn shown_value(&self, field: &CorrectedField, value: &str) -> String {
        let shown = match last(&field.field) {
            "sex" => value.parse().ok().and_then(Sex::of_code).map(|sex| sex.vi().to_owned()),
            "ethnic_group" => self
                .ethnic_groups
                .find(value)
                .and_then(|group| self.ethnic_groups.name(&group).map(str::to_owned)),
            "nationality" | "other_nationality" => Country::read(value).ok().map(shown_country),
            "date_of_birth" => Born::try_from(value.to_owned()).ok().map(shown_born),
            _ => None,
        };
        shown.unwrap_or_else(|| value.to_owned())
    }
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// A field of an entry by name.
fn shown_field(path: &str) -> String {
    let what = match last(path) {
        "full_name" => "Họ, chữ đệm, tên",
        "sex" => "Giới tính",
        "date_of_birth" => "Ngày, tháng, năm sinh",
        "ethnic_group" => "Dân tộc",
        "nationality" => "Quốc tịch",
        "other_nationality" => "Quốc tịch khác",
        "place_of_birth" => "Nơi sinh",
        "home_town" => "Quê quán",
        "residence" => "Nơi cư trú",
        "place_of_death" => "Nơi chết",
        "cause" => "Nguyên nhân chết",
        other => other,
    };
    let whose = if path.starts_with("birth.mother.") {
        " (mẹ)"
    } else if path.starts_with("birth.father.") {
        " (cha)"
    } else if path.starts_with("marriage.husband.") {
        " (chồng)"
    } else if path.starts_with("marriage.wife.") {
        " (vợ)"
    } else if path.starts_with("guardianship.ward.") {
        " (người được giám hộ)"
    } else if path.starts_with("guardianship.guardian.") {
        " (người giám hộ)"
    } else if path.starts_with("guardianship.supervisor.") {
        " (người giám sát)"
    } else if path.starts_with("recognition.parent.") {
        " (cha, mẹ)"
    } else if path.starts_with("adoption.adopter.") || path.starts_with("adoption.other_adopter.") {
        " (người nhận con nuôi)"
    } else if path.starts_with("recognition.child.") || path.starts_with("adoption.child.") {
        " (con)"
    } else {
        ""
    };
    format!("{what}{whose}")
}

/// Whom an entry is about.
fn names(details: &Details) -> Vec<&str> {
    match details {
        Details::Birth(birth) => vec![birth.child.person.full_name.as_str()],
        Details::Death(death) => vec![death.deceased.person.full_name.as_str()],
        Details::Marriage(marriage) => vec![
            marriage.husband.person.full_name.as_str(),
            marriage.wife.person.full_name.as_str(),
        ],
        Details::Guardianship(guardianship) => vec![guardianship.ward.person.full_name.as_str()],
        Details::Recognition(recognition) => vec![recognition.child.person.full_name.as_str()],
        Details::Adoption(adoption) => vec![adoption.child.person.full_name.as_str()],
        Details::Correction(_) => Vec::new(),
    }
}

/// A paper, without its QR code.
pub fn compose(source: &Source<'_>) -> Form {
    let entry = source.entry;
    let mut body = Body {
        ethnic_groups: source.ethnic_groups,
        blocks: Vec::new(),
    };
    match source.stands {
        Details::Birth(birth) => body.birth(birth),
        Details::Marriage(marriage) => body.marriage(marriage),
        Details::Death(death) => body.death(death),
        Details::Guardianship(guardianship) => body.guardianship(guardianship),
        Details::Recognition(recognition) => body.recognition(recognition),
        Details::Adoption(adoption) => body.adoption(adoption),
        Details::Correction(correction) => body.correction(correction, source.corrected),
    }
    let place = entry.content.registration_place.as_str();
    body.field("registration_place", "Nơi đăng ký", place);
    body.field(
        "registration_date",
        "Ngày, tháng, năm đăng ký",
        shown_day(entry.registration_date),
    );
    if source.kind == PaperKind::Extract {
        let where_it_stands = format!("quyển {}, trang {}", entry.volume, entry.page);
        body.field("place_in_book", "Vào sổ", where_it_stands);
    }
    for (place, annotation) in source.annotations.iter().enumerate() {
        let note = &annotation.note;
        let cancelled = source
            .annotations
            .iter()
            .any(|other| other.cancels == Some(annotation.annotation_id));
        // What was cancelled, and that it was, says nothing of the marriage as it stands.
        if cancelled || annotation.cancels.is_some() {
            continue;
        }
        let text = format!(
            "{} ({}, ngày {}, {})",
            note.text,
            note.basis_number,
            shown_day(note.basis_date),
            note.basis_authority
        );
        body.field(&format!("annotations.{place}"), "Ghi chú", text);
    }
    body.text("Nội dung trên đây theo sổ hộ tịch tại ngày cấp, gồm cả các thay đổi, cải chính, bổ sung đã đăng ký.");
    let mut notes = vec![
        format!("Mã giấy tờ: {}. Mã kiểm tra: {}.", source.paper_id, source.check_code),
        "Mã QR là biên nhận của sổ cái: kiểm tra được ngoại tuyến rằng giấy tờ có mã trên đã được cấp. Hiệu lực hiện tại được tra cứu bằng mã giấy tờ và mã kiểm tra."
            .to_owned(),
    ];
    if !source.rules.paper_layout.note.is_empty() {
        notes.push(source.rules.paper_layout.note.clone());
    }
    let day = source.issue_date;
    Form {
        form_number: String::new(),
        form_basis: String::new(),
        form_unconfirmed: false,
        agency_parent: source.office.parent.clone(),
        agency: format!("Uỷ ban nhân dân {}", source.office.commune),
        number: format!("{:02}", entry.number),
        numbered: true,
        symbol: entry.year.to_string(),
        place: place_of(&source.office.commune),
        date: Some(Day {
            day: day.day(),
            month: day.month(),
            year: day.year(),
        }),
        title: source.title.to_owned(),
        subtitle: if source.is_copy {
            format!("({})", source.rules.paper_layout.copy.vi)
        } else {
            String::new()
        },
        qr: String::new(),
        qr_label: format!("Mã giấy tờ: {}", source.paper_id),
        landscape: false,
        blocks: body.blocks,
        signatures: vec![Signature {
            title: source.signer_title.to_owned(),
            hint: "(Ký, ghi rõ họ tên)".to_owned(),
            name: source.signer_name.to_owned(),
        }],
        notes,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;
    use jiff::civil::date;

    use super::*;
    use crate::domain::birth::{BirthKind, Child, Requester};
    use crate::domain::book::EventKind;
    use crate::domain::entry::{Content, RegistrationKind};
    use crate::domain::person::PersonName;
    use crate::domain::rules::pack::tests::rules;

    fn person(name: &str, sex: Sex, born: Born, number: Option<&str>, ethnic_groups: &EthnicGroups) -> Person {
        Person {
            full_name: PersonName::read(name).unwrap(),
            sex,
            born: Some(born),
            ethnic_group: ethnic_groups.find("01"),
            nationality: Some(Country::VIET_NAM),
            other_nationality: None,
            personal_number: number.map(|number| number.parse().unwrap()),
        }
    }

    /// A birth certificate as it is kept: its QR code comes when it is printed.
    fn certificate() -> Form {
        let ethnic_groups = EthnicGroups::from_text("code,name\n01,Kinh\n").unwrap();
        let residence = "Khối 5, phường Trường Vinh, tỉnh Nghệ An";
        let parent = |name: &str, sex: Sex, born: Born| Parent {
            person_id: Uuid::nil(),
            person: person(name, sex, born, None, &ethnic_groups),
            residence_kind: None,
            residence: residence.to_owned(),
            paper: None,
        };
        let born = Born::on(date(2026, 11, 13)).unwrap();
        let details = Details::Birth(Box::new(Birth {
            kind: BirthKind::BothParents,
            child: Child {
                person_id: Uuid::nil(),
                person: person(
                    "Nguyễn Thị An Nhiên",
                    Sex::Female,
                    born,
                    Some("040326000123"),
                    &ethnic_groups,
                ),
                place_of_birth: "Bệnh viện Sản Nhi Nghệ An".to_owned(),
                place_of_birth_code: "16681".to_owned(),
                home_town: "Xã Kim Liên, tỉnh Nghệ An".to_owned(),
            },
            mother: Some(parent("Trần Thị Mẹ", Sex::Female, Born::in_month(1995, 4).unwrap())),
            father: Some(parent("Nguyễn Văn Cha", Sex::Male, Born::in_year(1993).unwrap())),
            requester: Some(Requester {
                full_name: PersonName::read("Nguyễn Văn Cha").unwrap(),
                relationship: "cha".to_owned(),
                paper: None,
            }),
            foreign_registration: None,
            abandonment: None,
        }));
        let entry = Entry {
            entry_id: Uuid::nil(),
            unit_id: 2,
            book_id: Uuid::nil(),
            event: EventKind::Birth,
            year: 2026,
            number: 1,
            volume: 1,
            page: 1,
            registration_kind: RegistrationKind::OnTime,
            registration_date: date(2026, 11, 23),
            subject_id: Uuid::nil(),
            content: Content {
                registration_place: "Phường Trường Vinh".to_owned(),
                signer_name: "Hồ Văn Chủ Tịch".to_owned(),
                signer_title: "Chủ tịch".to_owned(),
                signer_authorisation: String::new(),
                performer_name: "Phan Thị Sổ Bộ".to_owned(),
                note: String::new(),
                settled: Vec::new(),
                digitised: None,
                details: details.clone(),
            },
            actor_id: Uuid::nil(),
            actor_kind: "person".to_owned(),
            record_time: Timestamp::UNIX_EPOCH,
        };
        let office = Office {
            parent: "Tỉnh Nghệ An".to_owned(),
            commune: "Phường Trường Vinh".to_owned(),
        };
        compose(&Source {
            paper_id: Uuid::from_u128(0x0197_f3aa_7777_7abc_8def_0123_4567_89ab),
            check_code: "2345-Z2Z9-ABCD",
            title: "Giấy khai sinh",
            kind: PaperKind::Certificate,
            is_copy: true,
            entry: &entry,
            stands: &details,
            corrected: None,
            annotations: &[],
            office: &office,
            rules: &rules(),
            ethnic_groups: &ethnic_groups,
            signer_name: "Hồ Văn Chủ Tịch",
            signer_title: "Chủ tịch",
            issue_date: date(2026, 11, 23),
        })
    }

    #[test]
    fn a_birth_certificate_is_what_its_sample_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/papers/samples/giay-khai-sinh.json");
        let said = serde_json::to_string_pretty(&certificate()).unwrap() + "\n";
        if std::env::var_os("EGOV_WRITE_PAPERS").is_some() {
            std::fs::write(&path, &said).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(said, kept, "EGOV_WRITE_PAPERS=1 writes the sample anew");
    }

    #[test]
    fn what_can_be_corrected_has_a_name_and_values_are_shown_as_people_read_them() {
        for (path, named) in [
            ("birth.child.full_name", "Họ, chữ đệm, tên"),
            ("birth.mother.residence", "Nơi cư trú (mẹ)"),
            ("birth.father.nationality", "Quốc tịch (cha)"),
            ("marriage.husband.other_nationality", "Quốc tịch khác (chồng)"),
            ("marriage.wife.ethnic_group", "Dân tộc (vợ)"),
            ("death.place_of_death", "Nơi chết"),
        ] {
            assert_eq!(shown_field(path), named);
        }
        let ethnic_groups = EthnicGroups::from_text("code,name\n01,Kinh\n").unwrap();
        let body = Body {
            ethnic_groups: &ethnic_groups,
            blocks: Vec::new(),
        };
        let shown = |field: &str, value: &str| {
            let field = CorrectedField {
                field: field.to_owned(),
                before: String::new(),
                after: String::new(),
            };
            body.shown_value(&field, value)
        };
        assert_eq!(shown("birth.child.ethnic_group", "01"), "Kinh");
        assert_eq!(shown("birth.child.date_of_birth", "2026-11"), "11/2026");
        assert_eq!(shown("birth.child.date_of_birth", "2026-11-03"), "03/11/2026");
        assert_eq!(shown("birth.child.sex", "1"), Sex::Male.vi());
        assert_eq!(shown("birth.mother.nationality", "VN"), "Việt Nam");
        assert_eq!(shown("birth.mother.nationality", ""), "");
        assert_eq!(shown_day(date(2026, 1, 2)), "02/01/2026");
        assert_eq!(place_of("Phường Trường Vinh"), "Trường Vinh");
        assert_eq!(place_of("Thành phố"), "Thành phố");
    }
}
