//! Khai tử between contract and domain.

use egov_codes::normal_name;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::google::r#type::Date as ProtoDate;
use uuid::Uuid;

use super::births::{Reading, born, country, encode_paper, group, number, numbers};
use crate::domain::birth::{ForeignRegistration, Requester};
use crate::domain::death::{Death, DeathNotice, DeathNoticeKind, Deceased};
use crate::domain::person::{Born, Claimed, Country, PersonName, ResidenceKind, country_of, name_of};

impl Reading<'_> {
    fn deceased(&mut self, said: &proto::Deceased) -> Option<Deceased> {
        self.not_said(&said.person_id, "death.deceased.person_id");
        let claimed = Claimed {
            full_name: &said.full_name,
            sex: i16::try_from(said.sex).unwrap_or_default(),
            born: numbers(said.date_of_birth),
            ethnic_group: &said.ethnic_group,
            nationality: &said.nationality,
            other_nationality: &said.other_nationality,
            personal_number: &said.personal_number,
        };
        let person = self.person("death.deceased", &claimed);
        let paper = self.paper(said.paper.clone(), "death.deceased.paper");
        Some(Deceased {
            person_id: Uuid::nil(),
            person: person?,
            residence_kind: i16::try_from(said.residence_kind).ok().and_then(ResidenceKind::of_code),
            residence: normal_name(&said.residence),
            paper,
        })
    }

    /// The day of a death, of which perhaps only the month or the year is known.
    fn died(&mut self, said: Option<ProtoDate>) -> Option<Born> {
        let (year, month, day) = numbers(said)?;
        let read = Born::of_numbers(year, month, day);
        if read.is_none() {
            self.refuse(
                "death.date_of_death",
                "không phải ngày, tháng, năm của lịch",
                "is no day, month or year of the calendar",
            );
        }
        read
    }

    fn requester_of_death(&mut self, said: &proto::Requester) -> Option<Requester> {
        let full_name: Option<PersonName> = self.kept(name_of("death.requester.full_name", &said.full_name));
        let relationship = self.named(&said.relationship, "death.requester.relationship");
        let paper = self.paper(said.paper.clone(), "death.requester.paper");
        Some(Requester {
            full_name: full_name?,
            relationship,
            paper,
        })
    }

    fn death_abroad(&mut self, said: Option<proto::ForeignRegistration>) -> Option<ForeignRegistration> {
        let said = said?;
        let field = |name: &str| format!("death.foreign_registration.{name}");
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

    /// A death; none if something of it cannot be read, which is named then.
    pub(super) fn death(&mut self, said: Option<proto::Death>) -> Option<Death> {
        let said = said?;
        let deceased = said.deceased.as_ref().and_then(|deceased| self.deceased(deceased));
        let died = self.died(said.date_of_death);
        let place = self.named(&said.place_of_death, "death.place_of_death");
        let notice_date = self.day(said.notice_date, "death.notice_date");
        let requester = said
            .requester
            .as_ref()
            .and_then(|requester| self.requester_of_death(requester));
        let foreign_registration = self.death_abroad(said.foreign_registration);
        if !self.wrong.is_empty() {
            return None;
        }
        Some(Death {
            deceased: deceased?,
            died: died?,
            time: said.time_of_death,
            place,
            cause: normal_name(&said.cause),
            notice: DeathNotice {
                // The contract knows the same kinds.
                kind: i16::try_from(said.notice_kind)
                    .ok()
                    .and_then(DeathNoticeKind::of_code)?,
                number: normal_name(&said.notice_number),
                date: notice_date,
                authority: normal_name(&said.notice_authority),
            },
            requester: Some(requester?),
            foreign_registration,
            again: said.again,
        })
    }
}

/// A death as the contract shows it.
pub(super) fn encode(death: &Death) -> proto::Death {
    let deceased = &death.deceased;
    let person = &deceased.person;
    let (year, month, day) = death.died.numbers();
    proto::Death {
        deceased: Some(proto::Deceased {
            person_id: deceased.person_id.to_string(),
            full_name: person.full_name.as_str().to_owned(),
            personal_number: number(person),
            sex: person.sex.code().into(),
            date_of_birth: born(person),
            ethnic_group: group(person),
            nationality: country(person.nationality),
            other_nationality: country(person.other_nationality),
            residence_kind: deceased
                .residence_kind
                .map(ResidenceKind::code)
                .unwrap_or_default()
                .into(),
            residence: deceased.residence.clone(),
            paper: deceased.paper.as_ref().map(encode_paper),
        }),
        date_of_death: Some(ProtoDate { year, month, day }),
        time_of_death: death.time.clone(),
        place_of_death: death.place.clone(),
        cause: death.cause.clone(),
        notice_kind: death.notice.kind.code().into(),
        notice_number: death.notice.number.clone(),
        notice_date: death.notice.date.map(Into::into),
        notice_authority: death.notice.authority.clone(),
        requester: death.requester.as_ref().map(|requester| proto::Requester {
            full_name: requester.full_name.as_str().to_owned(),
            relationship: requester.relationship.clone(),
            paper: requester.paper.as_ref().map(encode_paper),
        }),
        foreign_registration: death
            .foreign_registration
            .as_ref()
            .map(|abroad| proto::ForeignRegistration {
                number: abroad.number.clone(),
                date: Some(abroad.date.into()),
                authority: abroad.authority.clone(),
                country: abroad.country.code().to_owned(),
            }),
        again: death.again,
    }
}
