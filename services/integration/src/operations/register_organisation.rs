//! RegisterOrganisation.

use egov_auth::{Caller, Resource};
use egov_database::{WriteRequest, violates};
use egov_proto::egov::integration::v1::{RegisterOrganisationRequest, RegisterOrganisationResponse};

use super::permission::MANAGE_DIRECTORY;
use super::{Done, Integration, record};
use crate::domain::organisation::{Organisation, Standing, first_codes};
use crate::error::Error;
use crate::store::StoreError;
use crate::{store, wire};

const METHOD: &str = "/egov.integration.v1.OrganisationService/RegisterOrganisation";

/// What a constraint of the store says to the caller.
pub(super) fn taken(error: StoreError) -> Error {
    match &error {
        StoreError::Sql(sql) if violates(sql, "organisations_member") => Error::MemberTaken,
        StoreError::Sql(sql) if violates(sql, "organisation_codes_in_use") => Error::AgencyCodeTaken,
        _ => error.into(),
    }
}

impl Integration {
    /// Enters an organisation, at most once for a request id.
    pub(crate) async fn register_organisation(
        &self,
        caller: &Caller,
        body: &RegisterOrganisationRequest,
    ) -> Result<RegisterOrganisationResponse, Error> {
        let request_id = wire::id(&body.request_id, "request_id")?;
        caller.require(MANAGE_DIRECTORY, &Resource::of_unit(body.responsible_unit_id))?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, METHOD, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let (now, today) = (unit.now(), unit.today());
                let one = Organisation {
                    organisation_id: unit.new_id(),
                    responsible_unit_id: body.responsible_unit_id,
                    name: body.name.trim().to_owned(),
                    codes: first_codes(&body.agency_codes, today).map_err(Error::AgencyCodeRefused)?,
                    member_class: body.member_class.clone(),
                    member_code: body.member_code.clone(),
                    unit_id: Some(body.unit_id).filter(|unit| *unit != 0),
                    contact: body.contact.trim().to_owned(),
                    state: Standing::Active,
                    version: 1,
                    create_time: now,
                    update_time: now,
                };
                for held in &one.codes {
                    if store::organisations::code_taken(unit.conn(), held.code.as_str(), today, None).await? {
                        return Err(Error::AgencyCodeTaken);
                    }
                }
                store::organisations::insert(unit.conn(), &one).await.map_err(taken)?;
                let done = Done {
                    kind: "organisation",
                    id: one.organisation_id,
                    unit_id: one.responsible_unit_id,
                    version: 1,
                    event: "organisation_registered",
                    reason: "",
                    caller,
                };
                record(unit, done, &one).await?;
                Ok::<_, Error>(RegisterOrganisationResponse {
                    organisation: Some(wire::organisation(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
