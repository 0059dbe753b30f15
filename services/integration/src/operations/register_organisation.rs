//! RegisterOrganisation, and the agencies that an installation enters by itself.

use egov_auth::{Caller, Resource, RowScope};
use egov_database::{Database, UnitOfWork, WriteRequest, violates};
use egov_fault::Fault;
use egov_proto::egov::integration::v1::{RegisterOrganisationRequest, RegisterOrganisationResponse};

use super::permission::MANAGE_DIRECTORY;
use super::{Done, Integration, record};
use crate::domain::organisation::{Organisation, Standing, first_codes};
use crate::error::Error;
use crate::store::StoreError;
use crate::store::organisations::Filter;
use crate::{store, wire};

const METHOD: &str = "/egov.integration.v1.OrganisationService/RegisterOrganisation";

/// The X-Road member class of agencies that an installation enters by itself.
const AGENCY: &str = "GOV";

/// Who acts when an installation does.
const INSTALLATION: &str = "installation";

/// What a constraint of the store says to the caller.
pub(super) fn taken(error: StoreError) -> Error {
    match &error {
        StoreError::Sql(sql) if violates(sql, "organisations_member") => Error::MemberTaken,
        StoreError::Sql(sql) if violates(sql, "organisation_codes_in_use") => Error::AgencyCodeTaken,
        _ => error.into(),
    }
}

/// Stores a new organisation with its history.
async fn enter(unit: &mut UnitOfWork<'_>, one: &Organisation, actor: String) -> Result<(), Error> {
    store::organisations::insert(unit.conn(), one).await.map_err(taken)?;
    let done = Done {
        kind: "organisation",
        id: one.organisation_id,
        unit_id: one.responsible_unit_id,
        version: 1,
        event: "organisation_registered",
        reason: "",
        actor,
    };
    record(unit, done, one).await
}

/// Enters an agency of this platform (cơ quan) with its code, kept by its own unit: a step of the installation, not of a caller. If the
/// directory has the code already, in use or to come, or a member of this name, nothing is done: whoever entered it knows better.
///
/// # Errors
/// Those of the database; the code is none.
pub async fn ensure_agency(database: &Database, unit_id: i32, name: &str, agency_code: &str) -> Result<(), Fault> {
    database
        .write_unkeyed(&RowScope::everything(), async |unit: &mut UnitOfWork<'_>| {
            let (now, today) = (unit.now(), unit.today());
            let filter = Filter {
                member_code: Some(agency_code.to_owned()),
                ..Filter::default()
            };
            let known = store::organisations::list(unit.conn(), &filter, None, 1).await?;
            if !known.is_empty() || store::organisations::code_taken(unit.conn(), agency_code, today, None).await? {
                return Ok::<_, Error>(());
            }
            let one = Organisation {
                organisation_id: unit.new_id(),
                responsible_unit_id: unit_id,
                name: name.to_owned(),
                codes: first_codes(&[agency_code.to_owned()], today).map_err(Error::AgencyCodeRefused)?,
                member_class: AGENCY.to_owned(),
                member_code: agency_code.to_owned(),
                unit_id: Some(unit_id),
                contact: String::new(),
                state: Standing::Active,
                version: 1,
                create_time: now,
                update_time: now,
            };
            enter(unit, &one, INSTALLATION.to_owned()).await
        })
        .await
        .map_err(Fault::from)
}

impl Integration {
    /// Enters an organisation, at most once for a request id. Its codes must be confirmed as its unit's.
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
                    self.agencies.confirm(caller, one.unit_id, held, today)?;
                }
                enter(unit, &one, caller.key()).await?;
                Ok::<_, Error>(RegisterOrganisationResponse {
                    organisation: Some(wire::organisation(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
