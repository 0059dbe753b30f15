//! DisclosureService.

use egov_codes::PersonalNumber;
use egov_fault::Violation;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::disclosure_service_server::DisclosureService;
use egov_proto::google::r#type::Date as ProtoDate;
use egov_runtime::accept;
use jiff::civil::Date;
use tonic::{Request, Response, Status};

use super::{Api, status, wrong};
use crate::domain::as_of::AsOf;
use crate::domain::predicate::Answer;
use crate::error::Error;
use crate::operations::{CivilRegistry, Question, WantedAnswer};

/// A day that may be left out; what is none is named.
fn day(said: Option<ProtoDate>, field: &str, refused: &mut Vec<Violation>) -> Option<Date> {
    let read = Date::try_from(said?).ok();
    if read.is_none() {
        refused.push(wrong(
            field,
            "không phải là một ngày có thật",
            "is not a day of the calendar",
        ));
    }
    read
}

/// The two times of a question, by the days that a request names.
pub(super) fn as_of(
    registry: &CivilRegistry,
    valid_on: Option<ProtoDate>,
    known_on: Option<ProtoDate>,
) -> Result<AsOf, Status> {
    let mut refused = Vec::new();
    let valid_on = day(valid_on, "valid_on", &mut refused);
    let known_on = day(known_on, "known_on", &mut refused);
    if !refused.is_empty() {
        return Err(status(Error::Invalid(refused)));
    }
    registry.as_of(valid_on, known_on).map_err(status)
}

/// A personal number; what is wrong with it is named.
fn number(text: &str, field: &str, refused: &mut Vec<Violation>) -> Option<PersonalNumber> {
    let read = text.trim().parse::<PersonalNumber>().ok();
    if read.is_none() {
        refused.push(wrong(
            field,
            "không phải là số định danh cá nhân",
            "is not a personal number",
        ));
    }
    read
}

/// The question of a request; what does not belong to it is refused by name, so that nobody believes to have asked more.
fn question(message: &proto::AskPredicateRequest, refused: &mut Vec<Violation>) -> Option<Question> {
    use proto::Predicate as P;
    let predicate = message.predicate();
    let is_about_age = predicate == P::AtLeastAge;
    if (message.age != 0) != is_about_age {
        refused.push(wrong(
            "age",
            "phải có khi hỏi về tuổi, và chỉ khi đó",
            "is said when an age is asked about, and not otherwise",
        ));
    }
    let is_about_child = predicate == P::ParentOf;
    if message.child_personal_number.is_empty() == is_about_child {
        refused.push(wrong(
            "child_personal_number",
            "phải có khi hỏi về cha, mẹ, con, và chỉ khi đó",
            "is said when it is asked whose parent somebody is, and not otherwise",
        ));
    }
    let child = if message.child_personal_number.is_empty() {
        None
    } else {
        number(&message.child_personal_number, "child_personal_number", refused)
    };
    match predicate {
        P::Alive => Some(Question::Alive),
        P::Married => Some(Question::Married),
        P::AtLeastAge => i16::try_from(message.age).ok().map(Question::AtLeastAge),
        P::ParentOf => child.map(Question::ParentOf),
        // The contract refuses it.
        P::Unspecified => None,
    }
}

/// The request, or everything that is wrong with it.
fn wanted(message: &proto::AskPredicateRequest) -> Result<WantedAnswer, Vec<Violation>> {
    let mut refused = Vec::new();
    let personal_number = number(&message.personal_number, "personal_number", &mut refused);
    let question = question(message, &mut refused);
    // The contract demands one.
    let valid_on = day(message.valid_on, "valid_on", &mut refused);
    let legal_basis = egov_codes::normal_name(&message.legal_basis);
    if legal_basis.is_empty() {
        refused.push(wrong("legal_basis", "bắt buộc phải có", "is required"));
    }
    if let Some(Question::ParentOf(child)) = &question
        && personal_number
            .as_ref()
            .is_some_and(|one| one.reveal() == child.reveal())
    {
        refused.push(wrong(
            "child_personal_number",
            "phải là số của người khác",
            "must be another person's",
        ));
    }
    match (personal_number, question, valid_on) {
        (Some(personal_number), Some(question), Some(valid_on)) if refused.is_empty() => Ok(WantedAnswer {
            personal_number,
            question,
            valid_on,
            legal_basis,
        }),
        _ => Err(refused),
    }
}

#[tonic::async_trait]
impl DisclosureService for Api {
    async fn ask_predicate(
        &self,
        request: Request<proto::AskPredicateRequest>,
    ) -> Result<Response<proto::AskPredicateResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let wanted = wanted(&request.message).map_err(|refused| status(Error::Invalid(refused)))?;
        let answer = self
            .registry
            .ask_predicate(request.caller()?, &wanted)
            .await
            .map_err(status)?;
        let answer = match answer {
            Answer::Yes => proto::PredicateAnswer::Yes,
            Answer::No => proto::PredicateAnswer::No,
            Answer::NotKnown => proto::PredicateAnswer::NotKnown,
        };
        Ok(Response::new(proto::AskPredicateResponse { answer: answer.into() }))
    }
}
