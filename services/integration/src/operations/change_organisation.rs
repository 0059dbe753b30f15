//! UpdateOrganisation, SetAgencyCode, ChangeOrganisationState.

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::integration::v1::{
    ChangeOrganisationStateRequest, ChangeOrganisationStateResponse, SetAgencyCodeRequest, SetAgencyCodeResponse,
    UpdateOrganisationRequest, UpdateOrganisationResponse,
};

use super::permission::MANAGE_DIRECTORY;
use super::register_organisation::taken;
use super::{Done, Integration, check_etag, record, touch_systems};
use crate::domain::organisation::Organisation;
use crate::error::Error;
use crate::{store, wire};

/// The organisation that the caller is about to change, as it was when the caller read it; its version already raised.
async fn load(unit: &mut UnitOfWork<'_>, caller: &Caller, id: &str, etag: &str) -> Result<Organisation, Error> {
    let organisation_id = wire::id(id, "organisation_id")?;
    let mut one = store::organisations::get(unit.conn(), organisation_id)
        .await?
        .ok_or(Error::OrganisationNotFound)?;
    caller.require(MANAGE_DIRECTORY, &Resource::of_unit(one.responsible_unit_id))?;
    check_etag(etag, one.version)?;
    one.version += 1;
    one.update_time = unit.now();
    Ok(one)
}

async fn save(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    one: &Organisation,
    event: &'static str,
    reason: &str,
) -> Result<(), Error> {
    store::organisations::update(unit.conn(), one).await.map_err(taken)?;
    let done = Done {
        kind: "organisation",
        id: one.organisation_id,
        unit_id: one.responsible_unit_id,
        version: one.version,
        event,
        reason,
        actor: caller.key(),
    };
    record(unit, done, one).await
}

impl Integration {
    /// Changes names, contact, and the unit that it is: then its codes must be confirmed as that unit's.
    pub(crate) async fn update_organisation(
        &self,
        caller: &Caller,
        body: &UpdateOrganisationRequest,
    ) -> Result<UpdateOrganisationResponse, Error> {
        let method = "/egov.integration.v1.OrganisationService/UpdateOrganisation";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, &body.organisation_id, &body.etag).await?;
                body.name.trim().clone_into(&mut one.name);
                one.member_class.clone_from(&body.member_class);
                one.member_code.clone_from(&body.member_code);
                let unit_id = Some(body.unit_id).filter(|unit| *unit != 0);
                if unit_id.is_some() && unit_id != one.unit_id {
                    // Its codes, of before too, become this unit's with it.
                    let today = unit.today();
                    for held in &one.codes {
                        self.agencies.confirm(caller, unit_id, held, today)?;
                    }
                }
                one.unit_id = unit_id;
                body.contact.trim().clone_into(&mut one.contact);
                save(unit, caller, &one, "organisation_updated", "").await?;
                Ok::<_, Error>(UpdateOrganisationResponse {
                    organisation: Some(wire::organisation(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Gives a code from a day on, if it is confirmed as the unit's.
    pub(crate) async fn set_agency_code(
        &self,
        caller: &Caller,
        body: &SetAgencyCodeRequest,
    ) -> Result<SetAgencyCodeResponse, Error> {
        let method = "/egov.integration.v1.OrganisationService/SetAgencyCode";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let from = wire::day(body.valid_from.unwrap_or_default(), "valid_from")?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, &body.organisation_id, &body.etag).await?;
                one.set_code(&body.code, from).map_err(Error::AgencyCodeRefused)?;
                let held = one.codes.last().cloned().ok_or(Error::OrganisationNotFound)?;
                let except = Some(one.organisation_id);
                if store::organisations::code_taken(unit.conn(), held.code.as_str(), from, except).await? {
                    return Err(Error::AgencyCodeTaken);
                }
                self.agencies.confirm(caller, one.unit_id, &held, unit.today())?;
                store::organisations::set_code(unit.conn(), &one, &held)
                    .await
                    .map_err(taken)?;
                save(unit, caller, &one, "agency_code_set", "").await?;
                Ok::<_, Error>(SetAgencyCodeResponse {
                    organisation: Some(wire::organisation(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Suspends, resumes or closes; the agreements follow.
    pub(crate) async fn change_organisation_state(
        &self,
        caller: &Caller,
        body: &ChangeOrganisationStateRequest,
    ) -> Result<ChangeOrganisationStateResponse, Error> {
        let method = "/egov.integration.v1.OrganisationService/ChangeOrganisationState";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let state = wire::organisation_state(body.state)?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, &body.organisation_id, &body.etag).await?;
                if !one.state.may_become(state) {
                    return Err(Error::StateNotAllowed);
                }
                one.state = state;
                save(unit, caller, &one, "organisation_state_changed", &body.reason).await?;
                let systems = store::systems::of_organisation(unit.conn(), one.organisation_id).await?;
                touch_systems(unit.conn(), &systems).await?;
                Ok::<_, Error>(ChangeOrganisationStateResponse {
                    organisation: Some(wire::organisation(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
