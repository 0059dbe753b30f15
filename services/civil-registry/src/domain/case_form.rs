//! The e-form of a one-stop case, read for the book: which procedure goes into which book, and what people write for countries and papers, is dated data
//! (`deploy/packs/civil-registry/cases`). What cannot be read the officer is shown; nothing is guessed.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use uuid::Uuid;

use super::birth::{Birth, BirthKind, Child, Parent, Requester};
use super::book::EventKind;
use super::finding::Violation;
use super::person::{Claimed, EthnicGroups, IdentityPaper, IdentityPaperKind, Person, Sex, name_of};

/// Why a pack is refused.
#[derive(Debug, thiserror::Error)]
pub enum CasePackError {
    /// It is not TOML of this shape.
    #[error(transparent)]
    Malformed(#[from] toml::de::Error),
    /// A kind of event that there is not, or that is not entered from cases.
    #[error("procedure {0}: the event is birth, marriage or death")]
    Event(String),
    /// A form that nobody reads, or one without the component that holds it.
    #[error("procedure {0}: the one form that is read is `birth`, of a component, for the event birth")]
    Form(String),
    /// A procedure is named twice for one day.
    #[error("procedure {0} is named twice for one day")]
    Twice(String),
    /// A kind of paper that the digitisation schema does not have.
    #[error("there is no kind of paper {0}")]
    Paper(i16),
    /// What is written for a country or a paper stands there twice, or is empty.
    #[error("the words {0:?} are empty, or mean two things")]
    Words(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fact {
    #[expect(dead_code, reason = "read by people; that it is there is checked")]
    status: String,
    #[expect(dead_code, reason = "read by people; that it is there is checked")]
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcedureRow {
    code: String,
    event: String,
    #[expect(dead_code, reason = "one-stop's: the result that the entry gives the case")]
    result: String,
    #[serde(default)]
    component: String,
    #[serde(default)]
    form: String,
    #[expect(dead_code, reason = "read by people; that it is there is checked")]
    fact: Fact,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountryRow {
    code: String,
    words: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PaperRow {
    kind: i16,
    words: Vec<String>,
    #[serde(default)]
    number: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackText {
    #[expect(dead_code, reason = "read by people; that it is there is checked")]
    name: String,
    effective_from: Date,
    #[serde(default)]
    effective_to: Option<Date>,
    procedure: Vec<ProcedureRow>,
    #[serde(default)]
    country: Vec<CountryRow>,
    #[serde(default)]
    paper: Vec<PaperRow>,
}

/// Which book a procedure goes into, and which component of its cases holds a form that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseProcedure {
    /// Loại việc.
    pub event: EventKind,
    /// The component; empty if no form is read.
    pub component: String,
}

/// One dated pack.
#[derive(Debug)]
struct CasePack {
    from: Date,
    to: Option<Date>,
    procedures: BTreeMap<String, CaseProcedure>,
    countries: BTreeMap<String, String>,
    papers: BTreeMap<String, (IdentityPaperKind, bool)>,
}

/// Words as they are compared: without blanks around them and marks of case.
fn plain(words: &str) -> String {
    egov_codes::normal_name(words).to_lowercase()
}

impl CasePack {
    fn from_toml(text: &str) -> Result<Self, CasePackError> {
        let read: PackText = toml::from_str(text)?;
        let mut procedures = BTreeMap::new();
        for row in read.procedure {
            let event = match row.event.as_str() {
                "birth" => EventKind::Birth,
                "marriage" => EventKind::Marriage,
                "death" => EventKind::Death,
                _ => return Err(CasePackError::Event(row.code)),
            };
            let is_read = row.form == "birth" && event == EventKind::Birth;
            if is_read == row.component.is_empty() || (!row.form.is_empty() && !is_read) {
                return Err(CasePackError::Form(row.code));
            }
            let component = row.component;
            let known = procedures.insert(row.code.clone(), CaseProcedure { event, component });
            if known.is_some() {
                return Err(CasePackError::Twice(row.code));
            }
        }
        let mut countries = BTreeMap::new();
        for row in read.country {
            for words in row.words {
                let key = plain(&words);
                if key.is_empty() || countries.insert(key, row.code.clone()).is_some() {
                    return Err(CasePackError::Words(words));
                }
            }
        }
        let mut papers = BTreeMap::new();
        for row in read.paper {
            let kind = IdentityPaperKind::of_code(row.kind).ok_or(CasePackError::Paper(row.kind))?;
            for words in row.words {
                let key = plain(&words);
                if key.is_empty() || papers.insert(key, (kind, row.number)).is_some() {
                    return Err(CasePackError::Words(words));
                }
            }
        }
        Ok(Self {
            from: read.effective_from,
            to: read.effective_to,
            procedures,
            countries,
            papers,
        })
    }

    fn is_in_force(&self, on: Date) -> bool {
        self.from <= on && self.to.is_none_or(|to| on < to)
    }

    fn meets(&self, other: &Self) -> bool {
        self.to.is_none_or(|to| other.from < to) && other.to.is_none_or(|to| self.from < to)
    }
}

/// All packs.
#[derive(Debug, Default)]
pub struct CasePacks(Vec<CasePack>);

impl CasePacks {
    /// Reads them.
    ///
    /// # Errors
    /// The first that is flawed.
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, CasePackError> {
        let mut packs: Vec<CasePack> = Vec::new();
        for text in texts {
            let pack = CasePack::from_toml(text)?;
            for other in packs.iter().filter(|other| other.meets(&pack)) {
                let twice = pack.procedures.keys().find(|code| other.procedures.contains_key(*code));
                if let Some(code) = twice {
                    return Err(CasePackError::Twice(code.clone()));
                }
            }
            packs.push(pack);
        }
        Ok(Self(packs))
    }

    /// Which book a procedure goes into, by the pack of the day of the decision.
    pub fn procedure(&self, code: &str, on: Date) -> Option<&CaseProcedure> {
        self.0
            .iter()
            .filter(|pack| pack.is_in_force(on))
            .find_map(|pack| pack.procedures.get(code))
    }

    /// Reads the form of a birth as it was filled in.
    ///
    /// # Errors
    /// Everything that cannot be read, or that the book needs and the form does not say.
    pub fn birth(&self, form: &str, groups: &EthnicGroups, on: Date) -> Result<Birth, Vec<Violation>> {
        let said: BirthForm = serde_json::from_str(form).map_err(|_| {
            vec![Violation::of_shape(
                "case_form",
                "birth",
                "không đọc được biểu mẫu điện tử của hồ sơ",
                "the e-form of the case cannot be read",
            )]
        })?;
        let mut reading = Reading {
            packs: self.0.iter().filter(|pack| pack.is_in_force(on)).collect(),
            groups,
            on,
            wrong: Vec::new(),
        };
        let read = reading.birth(&said);
        match read {
            Some(birth) if reading.wrong.is_empty() => Ok(birth),
            _ => Err(reading.wrong),
        }
    }
}

#[derive(Deserialize)]
struct PaperForm {
    #[serde(default)]
    loai: String,
    so: String,
    ngay_cap: Option<Date>,
    #[serde(default)]
    noi_cap: String,
}

#[derive(Deserialize)]
struct RequesterForm {
    ho_ten: String,
    quan_he: String,
    giay_to: Option<PaperForm>,
}

#[derive(Deserialize)]
struct ChildForm {
    ho_ten: String,
    gioi_tinh: String,
    ngay_sinh: Date,
    noi_sinh: String,
    #[serde(default)]
    que_quan: String,
    #[serde(default)]
    dan_toc: String,
    #[serde(default)]
    quoc_tich: String,
}

#[derive(Deserialize)]
struct ParentForm {
    ho_ten: String,
    ngay_sinh: Option<Date>,
    #[serde(default)]
    dan_toc: String,
    #[serde(default)]
    quoc_tich: String,
    #[serde(default)]
    noi_cu_tru: String,
    giay_to: Option<PaperForm>,
}

/// Tờ khai đăng ký khai sinh, as the procedure's pack describes it.
#[derive(Deserialize)]
struct BirthForm {
    nguoi_yeu_cau: RequesterForm,
    tre: ChildForm,
    me: Option<ParentForm>,
    cha: Option<ParentForm>,
}

/// What is read, and everything that cannot be.
struct Reading<'a> {
    packs: Vec<&'a CasePack>,
    groups: &'a EthnicGroups,
    on: Date,
    wrong: Vec<Violation>,
}

fn numbers(day: Date) -> (i32, i32, i32) {
    (day.year().into(), day.month().into(), day.day().into())
}

impl Reading<'_> {
    fn refuse(&mut self, field: &str, vi: &str, en: &str) {
        self.wrong.push(Violation::of_shape("case_form", field, vi, en));
    }

    /// Dân tộc by its name in the list.
    fn group(&mut self, name: &str, field: &str) -> String {
        let wanted = plain(name);
        let found = self.groups.iter().find(|(_, known)| plain(known) == wanted);
        let Some((code, _)) = found else {
            self.refuse(
                &format!("{field}.ethnic_group"),
                "không có tên dân tộc này trong danh mục",
                "the list has no ethnic group of this name",
            );
            return String::new();
        };
        code.to_owned()
    }

    /// Quốc tịch by what people write for it.
    fn country(&mut self, words: &str, field: &str) -> String {
        let wanted = plain(words);
        let found = self.packs.iter().find_map(|pack| pack.countries.get(&wanted));
        let Some(code) = found else {
            self.refuse(
                &format!("{field}.nationality"),
                "không nhận ra quốc tịch này",
                "no country is known by these words",
            );
            return String::new();
        };
        code.clone()
    }

    /// A paper, and the personal number on it if it bears one.
    fn paper(&mut self, said: Option<&PaperForm>) -> (Option<IdentityPaper>, String) {
        let Some(said) = said else {
            return (None, String::new());
        };
        let known = self.packs.iter().find_map(|pack| pack.papers.get(&plain(&said.loai)));
        let (kind, bears_number) = known.copied().unwrap_or((IdentityPaperKind::Other, false));
        let is_other = kind == IdentityPaperKind::Other;
        let number = egov_codes::normal_name(&said.so);
        let paper = IdentityPaper {
            kind,
            other_name: if is_other {
                egov_codes::normal_name(&said.loai)
            } else {
                String::new()
            },
            number: number.clone(),
            issue_date: said.ngay_cap,
            issue_place: egov_codes::normal_name(&said.noi_cap),
        };
        (Some(paper), if bears_number { number } else { String::new() })
    }

    fn person(&mut self, field: &str, claimed: &Claimed<'_>) -> Option<Person> {
        Person::read(field, claimed, self.groups, self.on)
            .map_err(|found| self.wrong.extend(found))
            .ok()
    }

    fn parent(&mut self, said: Option<&ParentForm>, field: &str, sex: Sex) -> Option<Parent> {
        let said = said?;
        let (paper, number) = self.paper(said.giay_to.as_ref());
        let (group, country) = (self.group(&said.dan_toc, field), self.country(&said.quoc_tich, field));
        let claimed = Claimed {
            full_name: &said.ho_ten,
            sex: sex.code(),
            born: said.ngay_sinh.map(numbers),
            ethnic_group: &group,
            nationality: &country,
            other_nationality: "",
            personal_number: &number,
        };
        Some(Parent {
            person_id: Uuid::nil(),
            person: self.person(field, &claimed)?,
            residence_kind: None,
            residence: egov_codes::normal_name(&said.noi_cu_tru),
            paper,
        })
    }

    fn birth(&mut self, said: &BirthForm) -> Option<Birth> {
        let child = &said.tre;
        let sex = match plain(&child.gioi_tinh).as_str() {
            "nam" => Sex::Male,
            "nữ" => Sex::Female,
            _ => Sex::Undetermined,
        };
        let field = "birth.child";
        let (group, country) = (self.group(&child.dan_toc, field), self.country(&child.quoc_tich, field));
        let claimed = Claimed {
            full_name: &child.ho_ten,
            sex: sex.code(),
            born: Some(numbers(child.ngay_sinh)),
            ethnic_group: &group,
            nationality: &country,
            other_nationality: "",
            personal_number: "",
        };
        let person = self.person(field, &claimed);
        let mother = self.parent(said.me.as_ref(), "birth.mother", Sex::Female);
        let father = self.parent(said.cha.as_ref(), "birth.father", Sex::Male);
        // Who names neither does not say whether the child was abandoned: that the officer knows.
        let kind = match (&said.me, &said.cha) {
            (Some(_), Some(_)) => BirthKind::BothParents,
            (None, Some(_)) => BirthKind::MotherUnknown,
            (Some(_), None) => BirthKind::FatherUnknown,
            (None, None) => {
                self.refuse(
                    "birth.kind",
                    "biểu mẫu không nêu cha, mẹ; công chức xác định loại khai sinh",
                    "the form names no parent: the officer says which kind of birth it is",
                );
                BirthKind::ParentsUnknown
            }
        };
        let asked_by = &said.nguoi_yeu_cau;
        let full_name = name_of("birth.requester.full_name", &asked_by.ho_ten)
            .map_err(|found| self.wrong.push(found))
            .ok();
        let (paper, _) = self.paper(asked_by.giay_to.as_ref());
        Some(Birth {
            kind,
            child: Child {
                person_id: Uuid::nil(),
                person: person?,
                place_of_birth: egov_codes::normal_name(&child.noi_sinh),
                place_of_birth_code: String::new(),
                home_town: egov_codes::normal_name(&child.que_quan),
            },
            mother,
            father,
            requester: Some(Requester {
                full_name: full_name?,
                relationship: egov_codes::normal_name(&asked_by.quan_he),
                paper,
            }),
            foreign_registration: None,
            abandonment: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const PACK: &str = include_str!("../../../../deploy/packs/civil-registry/cases/cases-2026.toml");
    const GROUPS: &str = include_str!("../../../../deploy/packs/ethnic_groups.csv");
    const TODAY: Date = date(2026, 11, 23);

    fn form() -> serde_json::Value {
        serde_json::json!({
            "nguoi_yeu_cau": {"ho_ten": "Nguyễn Văn Cha", "quan_he": "cha"},
            "tre": {
                "ho_ten": "Nguyễn Thị Con", "gioi_tinh": "nữ", "ngay_sinh": "2026-11-01", "noi_sinh": "Bệnh viện Sản Nhi Nghệ An",
                "dan_toc": "kinh", "quoc_tich": "Việt  Nam"
            },
            "me": {
                "ho_ten": "Trần Thị Mẹ", "ngay_sinh": "1998-02-03", "dan_toc": "Thái", "quoc_tich": "việt nam",
                "giay_to": {"loai": "CCCD", "so": "040198000018"}
            }
        })
    }

    fn read(form: &serde_json::Value) -> Result<Birth, Vec<String>> {
        let packs = CasePacks::from_texts([PACK]).unwrap();
        let groups = EthnicGroups::from_text(GROUPS).unwrap();
        packs
            .birth(&form.to_string(), &groups, TODAY)
            .map_err(|wrong| wrong.into_iter().map(|one| one.field).collect())
    }

    #[test]
    fn the_form_of_a_birth_is_read_with_names_for_codes_and_the_number_on_the_card() {
        let birth = read(&form()).unwrap();
        assert_eq!(birth.kind, BirthKind::FatherUnknown);
        assert_eq!(birth.child.person.sex, Sex::Female);
        let mother = birth.mother.unwrap();
        assert_eq!(mother.person.personal_number.unwrap().reveal(), "040198000018");
        assert_eq!(mother.paper.unwrap().kind, IdentityPaperKind::CitizenIdentityCard);
        assert_eq!(mother.person.nationality.unwrap().code(), "VN");
    }

    #[test]
    fn everything_that_cannot_be_read_is_named_and_nothing_guessed() {
        let mut wrong = form();
        wrong["tre"]["quoc_tich"] = "Đại Việt".into();
        wrong["me"]["dan_toc"] = "?".into();
        let fields = read(&wrong).unwrap_err();
        for field in ["birth.child.nationality", "birth.mother.ethnic_group"] {
            assert!(fields.iter().any(|one| one == field), "{fields:?}");
        }
        let mut nobody = form();
        nobody.as_object_mut().unwrap().remove("me");
        assert_eq!(read(&nobody).unwrap_err(), ["birth.kind"]);
        assert_eq!(read(&serde_json::json!([])).unwrap_err(), ["birth"]);
    }

    #[test]
    fn a_pack_that_means_two_things_is_refused() {
        let twice = PACK.replace("words = [\"hộ chiếu\"]", "words = [\"cccd\"]");
        assert!(matches!(CasePacks::from_texts([twice.as_str()]), Err(CasePackError::Words(words)) if words == "cccd"));
        assert!(matches!(
            CasePacks::from_texts([PACK, PACK]),
            Err(CasePackError::Twice(_))
        ));
        let unread = PACK.replace("form = \"birth\"", "form = \"death\"");
        assert!(matches!(
            CasePacks::from_texts([unread.as_str()]),
            Err(CasePackError::Form(_))
        ));
    }
}
