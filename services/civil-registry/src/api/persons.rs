//! PersonService.

use egov_codes::PersonalNumber;
use egov_database::page_of;
use egov_fault::Violation;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::person_service_server::PersonService;
use egov_proto::google::r#type::Date as ProtoDate;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::disclosure::as_of;
use super::{Api, id, status, wrong};
use crate::domain::as_of::Told;
use crate::domain::entry::{Particulars, Relation};
use crate::domain::person::{Born, NoName, PersonName};
use crate::domain::person_search::WantedWords;
use crate::domain::personal_number::NumberRequest;
use crate::error::Error;
use crate::operations::{Found, WantedName, WantedPerson};

fn particulars(told: Told<Particulars>) -> proto::ToldParticulars {
    let said = told.what;
    proto::ToldParticulars {
        entry_id: told.entry_id.to_string(),
        full_name: said.full_name,
        sex: said.sex.code().into(),
        date_of_birth: said
            .born
            .map(Born::numbers)
            .map(|(year, month, day)| ProtoDate { year, month, day }),
        ethnic_group: said.ethnic_group,
        nationality: said.nationality,
        other_nationality: said.other_nationality,
        valid_from: Some(said.valid_from.into()),
        record_time: Some(egov_proto::timestamp(told.record_time)),
    }
}

fn relation(told: &Told<Relation>) -> proto::ToldRelation {
    let relation = &told.what;
    proto::ToldRelation {
        relation_id: relation.relation_id.to_string(),
        version: relation.version,
        kind: relation.kind.code().into(),
        person_id: relation.person_id.to_string(),
        relative_id: relation.relative_id.to_string(),
        valid_from: Some(relation.valid_from.into()),
        valid_to: relation.valid_to.map(Into::into),
        entry_id: told.entry_id.to_string(),
        record_time: Some(egov_proto::timestamp(told.record_time)),
    }
}

fn number(told: &NumberRequest) -> proto::ToldPersonalNumber {
    let number = told.number.as_ref();
    proto::ToldPersonalNumber {
        entry_id: told.entry_id.to_string(),
        personal_number: number.map(PersonalNumber::reveal).unwrap_or_default().to_owned(),
        valid_from: told.assign_date.map(Into::into),
        record_time: Some(egov_proto::timestamp(told.record_time)),
    }
}

fn found(found: Found) -> proto::FoundPerson {
    proto::FoundPerson {
        person_id: found.person_id.to_string(),
        full_name: found.full_name,
        date_of_birth: found
            .born
            .map(Born::numbers)
            .map(|(year, month, day)| ProtoDate { year, month, day }),
    }
}

/// Who is looked for, with everything that is wrong in what was said.
fn wanted(said: &proto::SearchPersonsRequest) -> Result<WantedPerson, Vec<Violation>> {
    let mut flaws = Vec::new();
    let (is_named, is_numbered) = (!said.full_name.trim().is_empty(), !said.personal_number.is_empty());
    let mut words = None;
    if is_named {
        let name = PersonName::read(&said.full_name);
        words = name.as_ref().ok().and_then(WantedWords::of);
        if words.is_none() {
            let why = name.err().unwrap_or(NoName::Empty);
            flaws.push(wrong("full_name", &why.vi(), &why.to_string()));
        }
    } else if !is_numbered || said.birth_year != 0 {
        flaws.push(wrong(
            "full_name",
            "cần họ tên cùng năm sinh, hoặc số định danh cá nhân",
            "a name with a year of birth is needed, or a personal number",
        ));
    }
    if said.birth_year == 0 && (is_named || !is_numbered) {
        flaws.push(wrong(
            "birth_year",
            "tìm theo họ tên cần có năm sinh",
            "a search by name needs the year of birth",
        ));
    }
    let personal_number = said.personal_number.parse::<PersonalNumber>().ok();
    if is_numbered && personal_number.is_none() {
        flaws.push(wrong(
            "personal_number",
            "không phải là số định danh cá nhân",
            "is no personal number",
        ));
    }
    if !flaws.is_empty() {
        return Err(flaws);
    }
    let birth_year = i16::try_from(said.birth_year).unwrap_or_default();
    Ok(WantedPerson {
        name: words.map(|words| WantedName { words, birth_year }),
        personal_number,
    })
}

#[tonic::async_trait]
impl PersonService for Api {
    async fn get_person(
        &self,
        request: Request<proto::GetPersonRequest>,
    ) -> Result<Response<proto::GetPersonResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let person_id = id(&message.person_id, "person_id")?;
        let at = as_of(&self.registry, message.valid_on, message.known_on)?;
        let shown = self
            .registry
            .get_person(request.caller()?, person_id, at)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetPersonResponse {
            person_id: person_id.to_string(),
            particulars: shown.particulars.into_iter().map(particulars).collect(),
            relations: shown.relations.iter().map(relation).collect(),
            personal_numbers: shown.number.iter().map(number).collect(),
            same_as: shown.same_as.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn search_persons(
        &self,
        request: Request<proto::SearchPersonsRequest>,
    ) -> Result<Response<proto::SearchPersonsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, message) = (request.caller()?, &request.message);
        let wanted = wanted(message).map_err(|wrong| status(Error::Invalid(wrong)))?;
        let page = page_of!(
            self.registry.pages,
            caller,
            "egov.civil_registry.v1.PersonService/SearchPersons",
            message
        )?;
        let (persons, next_page_token) = self
            .registry
            .search_persons(caller, &wanted, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::SearchPersonsResponse {
            persons: persons.into_iter().map(found).collect(),
            next_page_token,
        }))
    }
}
