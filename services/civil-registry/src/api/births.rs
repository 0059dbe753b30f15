//! Khai sinh, and what is noted beside it, between contract and domain.

use egov_codes::normal_name;
use egov_fault::Violation;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::google::r#type::Date as ProtoDate;
use jiff::civil::Date;
use uuid::Uuid;

use super::marriages::outcome;
use super::wrong;
use crate::domain::annotation::Note;
use crate::domain::birth::{Abandonment, Birth, BirthKind, Child, ForeignRegistration, Parent, Requester};
use crate::domain::finding;
use crate::domain::person::{
    Born, Claimed, Country, EthnicGroup, EthnicGroups, IdentityPaper, IdentityPaperKind, Person, PersonName,
    ResidenceKind, Sex, country_of, name_of,
};
use crate::error::violation;

/// What is read, and everything that cannot be.
pub(super) struct Reading<'a> {
    pub(super) wrong: Vec<Violation>,
    groups: &'a EthnicGroups,
    today: Date,
}

impl<'a> Reading<'a> {
    pub(super) fn new(groups: &'a EthnicGroups, today: Date) -> Self {
        Self {
            wrong: Vec::new(),
            groups,
            today,
        }
    }

    /// The value, or its violation put with the others.
    pub(super) fn kept<T>(&mut self, read: Result<T, finding::Violation>) -> Option<T> {
        read.map_err(|found| self.wrong.push(violation(found))).ok()
    }

    pub(super) fn refuse(&mut self, field: &str, vi: &str, en: &str) {
        self.wrong.push(wrong(field, vi, en));
    }

    /// A text without blanks around it; it has to say something.
    pub(super) fn named(&mut self, text: &str, field: &str) -> String {
        let text = normal_name(text);
        if text.is_empty() {
            self.refuse(field, "không được để trống", "must not be blank");
        }
        text
    }

    /// What the service works out is not said.
    pub(super) fn not_said(&mut self, text: &str, field: &str) {
        if !text.is_empty() {
            self.refuse(field, "do hệ thống xác định, không khai", "is worked out and not said");
        }
    }

    /// A day; an absent one stays absent.
    pub(super) fn day(&mut self, date: Option<ProtoDate>, field: &str) -> Option<Date> {
        let read = Date::try_from(date?).ok();
        if read.is_none() {
            self.refuse(field, "không phải là một ngày có thật", "is not a day of the calendar");
        }
        read
    }

    /// A day that has to be there.
    pub(super) fn demanded_day(&mut self, date: Option<ProtoDate>, field: &str) -> Option<Date> {
        if date.is_none() {
            self.refuse(field, "bắt buộc phải có", "is required");
        }
        self.day(date, field)
    }

    /// What is told of a person.
    pub(super) fn person(&mut self, field: &str, claimed: &Claimed<'_>) -> Option<Person> {
        Person::read(field, claimed, self.groups, self.today)
            .map_err(|found| self.wrong.extend(found.into_iter().map(violation)))
            .ok()
    }

    pub(super) fn paper(&mut self, said: Option<proto::IdentityPaper>, field: &str) -> Option<IdentityPaper> {
        let said = said?;
        let issue_date = self.day(said.issue_date, &format!("{field}.issue_date"));
        Some(IdentityPaper {
            // The contract knows the same kinds.
            kind: i16::try_from(said.kind).ok().and_then(IdentityPaperKind::of_code)?,
            other_name: normal_name(&said.other_name),
            number: normal_name(&said.number),
            issue_date,
            issue_place: normal_name(&said.issue_place),
        })
    }

    fn child(&mut self, said: &proto::Child) -> Option<Child> {
        self.not_said(&said.person_id, "birth.child.person_id");
        let claimed = Claimed {
            full_name: &said.full_name,
            sex: i16::try_from(said.sex).unwrap_or_default(),
            born: numbers(said.date_of_birth),
            ethnic_group: &said.ethnic_group,
            nationality: &said.nationality,
            other_nationality: &said.other_nationality,
            personal_number: &said.personal_number,
        };
        let person = self.person("birth.child", &claimed);
        let place_of_birth = self.named(&said.place_of_birth, "birth.child.place_of_birth");
        Some(Child {
            person_id: Uuid::nil(),
            person: person?,
            place_of_birth,
            place_of_birth_code: said.place_of_birth_code.clone(),
            home_town: normal_name(&said.home_town),
        })
    }

    fn parent(&mut self, said: Option<&proto::Parent>, field: &str, sex: Sex) -> Option<Parent> {
        let said = said?;
        self.not_said(&said.person_id, &format!("{field}.person_id"));
        let claimed = Claimed {
            full_name: &said.full_name,
            sex: sex.code(),
            born: numbers(said.date_of_birth),
            ethnic_group: &said.ethnic_group,
            nationality: &said.nationality,
            other_nationality: &said.other_nationality,
            personal_number: &said.personal_number,
        };
        let person = self.person(field, &claimed);
        let paper = self.paper(said.paper.clone(), &format!("{field}.paper"));
        Some(Parent {
            person_id: Uuid::nil(),
            person: person?,
            residence_kind: i16::try_from(said.residence_kind).ok().and_then(ResidenceKind::of_code),
            residence: normal_name(&said.residence),
            paper,
        })
    }

    fn requester(&mut self, said: &proto::Requester) -> Option<Requester> {
        let full_name: Option<PersonName> = self.kept(name_of("birth.requester.full_name", &said.full_name));
        let relationship = self.named(&said.relationship, "birth.requester.relationship");
        let paper = self.paper(said.paper.clone(), "birth.requester.paper");
        Some(Requester {
            full_name: full_name?,
            relationship,
            paper,
        })
    }

    fn abroad(&mut self, said: Option<proto::ForeignRegistration>) -> Option<ForeignRegistration> {
        let said = said?;
        let field = |name: &str| format!("birth.foreign_registration.{name}");
        let number = self.named(&said.number, &field("number"));
        let authority = self.named(&said.authority, &field("authority"));
        let date = self.demanded_day(said.date, &field("date"));
        let country: Option<Country> = self.kept(country_of(&field("country"), &said.country));
        Some(ForeignRegistration {
            number,
            date: date?,
            authority,
            country: country?,
        })
    }

    fn abandonment(&mut self, said: Option<proto::Abandonment>) -> Option<Abandonment> {
        let said = said?;
        let field = |name: &str| format!("birth.abandonment.{name}");
        let minutes_number = self.named(&said.minutes_number, &field("minutes_number"));
        let minutes_date = self.demanded_day(said.minutes_date, &field("minutes_date"));
        let notice_from = self.demanded_day(said.notice_from, &field("notice_from"));
        let notice_to = self.demanded_day(said.notice_to, &field("notice_to"));
        Some(Abandonment {
            minutes_number,
            minutes_date: minutes_date?,
            notice_from: notice_from?,
            notice_to: notice_to?,
        })
    }

    /// What is noted beside an entry; none if something of it cannot be read, which is named then.
    pub(super) fn note(&mut self, said: &proto::AnnotateEntryRequest) -> Option<Note> {
        let basis = said.basis.as_ref()?;
        let text = self.named(&said.text, "text");
        let basis_number = self.named(&basis.number, "basis.number");
        let basis_date = self.demanded_day(basis.date, "basis.date");
        let basis_authority = self.named(&basis.authority, "basis.authority");
        let effective_date = self.day(said.effective_date, "effective_date");
        Some(Note {
            text,
            basis_number,
            basis_date: basis_date?,
            basis_authority,
            marriage_outcome: outcome(said.marriage_outcome),
            effective_date,
        })
    }

    /// A birth; none if something of it cannot be read, which is named then.
    pub(super) fn birth(&mut self, said: Option<proto::Birth>) -> Option<Birth> {
        let said = said?;
        let kind = i16::try_from(said.kind).ok().and_then(BirthKind::of_code);
        let child = said.child.as_ref().and_then(|child| self.child(child));
        let mother = self.parent(said.mother.as_ref(), "birth.mother", Sex::Female);
        let father = self.parent(said.father.as_ref(), "birth.father", Sex::Male);
        let requester = said.requester.as_ref().and_then(|requester| self.requester(requester));
        let foreign_registration = self.abroad(said.foreign_registration);
        let abandonment = self.abandonment(said.abandonment);
        if !self.wrong.is_empty() {
            return None;
        }
        Some(Birth {
            kind: kind?,
            child: child?,
            mother,
            father,
            requester: Some(requester?),
            foreign_registration,
            abandonment,
        })
    }
}

/// The numbers of a date of birth.
pub(super) fn numbers(date: Option<ProtoDate>) -> Option<(i32, i32, i32)> {
    date.map(|date| (date.year, date.month, date.day))
}

pub(super) fn born(person: &Person) -> Option<ProtoDate> {
    let (year, month, day) = person.born.map(Born::numbers)?;
    Some(ProtoDate { year, month, day })
}

pub(super) fn number(person: &Person) -> String {
    let number = person.personal_number.as_ref();
    number.map(|number| number.reveal().to_owned()).unwrap_or_default()
}

pub(super) fn group(person: &Person) -> String {
    let group = person.ethnic_group.as_ref().map(EthnicGroup::code);
    group.unwrap_or_default().to_owned()
}

pub(super) fn country(country: Option<Country>) -> String {
    country.map(Country::code).unwrap_or_default().to_owned()
}

pub(super) fn encode_paper(paper: &IdentityPaper) -> proto::IdentityPaper {
    proto::IdentityPaper {
        kind: paper.kind.code().into(),
        other_name: paper.other_name.clone(),
        number: paper.number.clone(),
        issue_date: paper.issue_date.map(Into::into),
        issue_place: paper.issue_place.clone(),
    }
}

fn encode_parent(parent: &Parent) -> proto::Parent {
    let person = &parent.person;
    proto::Parent {
        person_id: parent.person_id.to_string(),
        full_name: person.full_name.as_str().to_owned(),
        personal_number: number(person),
        date_of_birth: born(person),
        ethnic_group: group(person),
        nationality: country(person.nationality),
        other_nationality: country(person.other_nationality),
        residence_kind: parent
            .residence_kind
            .map(ResidenceKind::code)
            .unwrap_or_default()
            .into(),
        residence: parent.residence.clone(),
        paper: parent.paper.as_ref().map(encode_paper),
    }
}

/// A birth as the contract shows it.
pub(super) fn encode(birth: &Birth) -> proto::Birth {
    let child = &birth.child;
    proto::Birth {
        kind: birth.kind.code().into(),
        child: Some(proto::Child {
            person_id: child.person_id.to_string(),
            full_name: child.person.full_name.as_str().to_owned(),
            personal_number: number(&child.person),
            sex: child.person.sex.code().into(),
            date_of_birth: born(&child.person),
            place_of_birth: child.place_of_birth.clone(),
            place_of_birth_code: child.place_of_birth_code.clone(),
            home_town: child.home_town.clone(),
            ethnic_group: group(&child.person),
            nationality: country(child.person.nationality),
            other_nationality: country(child.person.other_nationality),
        }),
        mother: birth.mother.as_ref().map(encode_parent),
        father: birth.father.as_ref().map(encode_parent),
        requester: birth.requester.as_ref().map(|requester| proto::Requester {
            full_name: requester.full_name.as_str().to_owned(),
            relationship: requester.relationship.clone(),
            paper: requester.paper.as_ref().map(encode_paper),
        }),
        foreign_registration: birth
            .foreign_registration
            .as_ref()
            .map(|abroad| proto::ForeignRegistration {
                number: abroad.number.clone(),
                date: Some(abroad.date.into()),
                authority: abroad.authority.clone(),
                country: abroad.country.code().to_owned(),
            }),
        abandonment: birth.abandonment.as_ref().map(|said| proto::Abandonment {
            minutes_number: said.minutes_number.clone(),
            minutes_date: Some(said.minutes_date.into()),
            notice_from: Some(said.notice_from.into()),
            notice_to: Some(said.notice_to.into()),
        }),
    }
}
