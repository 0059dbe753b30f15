//! PersonService.

use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::person_service_server::PersonService;
use egov_proto::google::r#type::Date as ProtoDate;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, id, status};
use crate::domain::entry::{Particulars, Relation};
use crate::domain::person::Born;
use crate::operations::Told;

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

#[tonic::async_trait]
impl PersonService for Api {
    async fn get_person(
        &self,
        request: Request<proto::GetPersonRequest>,
    ) -> Result<Response<proto::GetPersonResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let person_id = id(&request.message.person_id, "person_id")?;
        let shown = self
            .registry
            .get_person(request.caller()?, person_id)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetPersonResponse {
            person_id: person_id.to_string(),
            particulars: shown.particulars.into_iter().map(particulars).collect(),
            relations: shown.relations.iter().map(relation).collect(),
        }))
    }
}
