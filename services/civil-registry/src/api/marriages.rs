//! Kết hôn between contract and domain.

use egov_codes::normal_name;
use egov_proto::egov::civil_registry::v1 as proto;
use uuid::Uuid;

use super::births::{Reading, born, country, encode_paper, group, number, numbers};
use crate::domain::marriage::{MaritalStatusInquiry, MaritalStatusPaper, Marriage, MarriageOutcome, Spouse};
use crate::domain::person::{Claimed, ResidenceKind, Sex};

impl Reading<'_> {
    fn marital_status_paper(
        &mut self,
        said: Option<&proto::MaritalStatusPaper>,
        field: &str,
    ) -> Option<MaritalStatusPaper> {
        let said = said?;
        let field = |name: &str| format!("{field}.marital_status_paper.{name}");
        let number = self.named(&said.number, &field("number"));
        let authority = self.named(&said.authority, &field("authority"));
        let issue_date = self.demanded_day(said.issue_date, &field("issue_date"));
        Some(MaritalStatusPaper {
            number,
            issue_date: issue_date?,
            authority,
        })
    }

    fn marital_status_inquiry(
        &mut self,
        said: Option<&proto::MaritalStatusInquiry>,
        field: &str,
    ) -> Option<MaritalStatusInquiry> {
        let said = said?;
        let field = |name: &str| format!("{field}.marital_status_inquiry.{name}");
        let authority = self.named(&said.authority, &field("authority"));
        let sent_date = self.demanded_day(said.sent_date, &field("sent_date"));
        let answer_date = self.day(said.answer_date, &field("answer_date"));
        Some(MaritalStatusInquiry {
            authority,
            sent_date: sent_date?,
            answer_date,
        })
    }

    fn spouse(&mut self, said: Option<&proto::Spouse>, field: &str, sex: Sex) -> Option<Spouse> {
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
        let marital_status_paper = self.marital_status_paper(said.marital_status_paper.as_ref(), field);
        let marital_status_inquiry = self.marital_status_inquiry(said.marital_status_inquiry.as_ref(), field);
        Some(Spouse {
            person_id: Uuid::nil(),
            person: person?,
            residence_kind: i16::try_from(said.residence_kind).ok().and_then(ResidenceKind::of_code),
            residence: normal_name(&said.residence),
            paper,
            marital_status_paper,
            marital_status_inquiry,
            was_present: said.was_present,
            declared_will: said.declared_will,
        })
    }

    /// A marriage; none if something of it cannot be read, which is named then.
    pub(super) fn marriage(&mut self, said: Option<&proto::Marriage>) -> Option<Marriage> {
        let said = said?;
        let husband = self.spouse(said.husband.as_ref(), "marriage.husband", Sex::Male);
        let wife = self.spouse(said.wife.as_ref(), "marriage.wife", Sex::Female);
        let first_registration_date = self.day(said.first_registration_date, "marriage.first_registration_date");
        if !self.wrong.is_empty() {
            return None;
        }
        Some(Marriage {
            husband: husband?,
            wife: wife?,
            outcome: outcome(said.outcome),
            again: said.registration() == proto::MarriageRegistration::Again,
            first_registration_date,
        })
    }
}

/// What a court decided of a marriage; the contract knows the same outcomes.
pub(super) fn outcome(code: i32) -> Option<MarriageOutcome> {
    i16::try_from(code).ok().and_then(MarriageOutcome::of_code)
}

fn encode_spouse(spouse: &Spouse) -> proto::Spouse {
    let person = &spouse.person;
    proto::Spouse {
        person_id: spouse.person_id.to_string(),
        full_name: person.full_name.as_str().to_owned(),
        personal_number: number(person),
        date_of_birth: born(person),
        ethnic_group: group(person),
        nationality: country(person.nationality),
        other_nationality: country(person.other_nationality),
        residence_kind: spouse
            .residence_kind
            .map(ResidenceKind::code)
            .unwrap_or_default()
            .into(),
        residence: spouse.residence.clone(),
        paper: spouse.paper.as_ref().map(encode_paper),
        marital_status_paper: spouse
            .marital_status_paper
            .as_ref()
            .map(|paper| proto::MaritalStatusPaper {
                number: paper.number.clone(),
                issue_date: Some(paper.issue_date.into()),
                authority: paper.authority.clone(),
            }),
        marital_status_inquiry: spouse
            .marital_status_inquiry
            .as_ref()
            .map(|inquiry| proto::MaritalStatusInquiry {
                authority: inquiry.authority.clone(),
                sent_date: Some(inquiry.sent_date.into()),
                answer_date: inquiry.answer_date.map(Into::into),
            }),
        was_present: spouse.was_present,
        declared_will: spouse.declared_will,
    }
}

/// A marriage as the contract shows it.
pub(super) fn encode(marriage: &Marriage) -> proto::Marriage {
    let registration = if marriage.again {
        proto::MarriageRegistration::Again
    } else {
        proto::MarriageRegistration::First
    };
    proto::Marriage {
        registration: registration.into(),
        husband: Some(encode_spouse(&marriage.husband)),
        wife: Some(encode_spouse(&marriage.wife)),
        outcome: marriage.outcome.map(MarriageOutcome::code).unwrap_or_default().into(),
        first_registration_date: marriage.first_registration_date.map(Into::into),
    }
}
