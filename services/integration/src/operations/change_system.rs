//! UpdateSystem, ChangeSystemState.

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::integration::v1::{
    ChangeSystemStateRequest, ChangeSystemStateResponse, UpdateSystemRequest, UpdateSystemResponse,
};

use super::permission::MANAGE_DIRECTORY;
use super::{Done, Integration, check_etag, record, touch_systems};
use crate::domain::system::System;
use crate::error::Error;
use crate::{store, wire};

/// The system that the caller is about to change, as it was when the caller read it; its version already raised.
pub(super) async fn load(unit: &mut UnitOfWork<'_>, caller: &Caller, id: &str, etag: &str) -> Result<System, Error> {
    let system_id = wire::id(id, "system_id")?;
    let mut one = store::systems::get(unit.conn(), system_id)
        .await?
        .ok_or(Error::SystemNotFound)?;
    caller.require(MANAGE_DIRECTORY, &Resource::of_unit(one.responsible_unit_id))?;
    check_etag(etag, one.version)?;
    one.version += 1;
    one.update_time = unit.now();
    Ok(one)
}

/// Stores a changed system with its history.
pub(super) async fn save(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    one: &System,
    event: &'static str,
    reason: &str,
) -> Result<(), Error> {
    store::systems::update(unit.conn(), one).await?;
    let done = Done {
        kind: "system",
        id: one.system_id,
        unit_id: one.responsible_unit_id,
        version: one.version,
        event,
        reason,
        actor: caller.key(),
    };
    record(unit, done, one).await
}

impl Integration {
    /// Changes the name.
    pub(crate) async fn update_system(
        &self,
        caller: &Caller,
        body: &UpdateSystemRequest,
    ) -> Result<UpdateSystemResponse, Error> {
        let method = "/egov.integration.v1.SystemService/UpdateSystem";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, &body.system_id, &body.etag).await?;
                body.name.trim().clone_into(&mut one.name);
                save(unit, caller, &one, "system_updated", "").await?;
                Ok::<_, Error>(UpdateSystemResponse {
                    system: Some(wire::system(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Suspends, resumes or closes; the agreements follow.
    pub(crate) async fn change_system_state(
        &self,
        caller: &Caller,
        body: &ChangeSystemStateRequest,
    ) -> Result<ChangeSystemStateResponse, Error> {
        let method = "/egov.integration.v1.SystemService/ChangeSystemState";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let state = wire::system_state(body.state)?;
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut one = load(unit, caller, &body.system_id, &body.etag).await?;
                if !one.state.may_become(state) {
                    return Err(Error::StateNotAllowed);
                }
                one.state = state;
                save(unit, caller, &one, "system_state_changed", &body.reason).await?;
                touch_systems(unit.conn(), &[one.system_id]).await?;
                Ok::<_, Error>(ChangeSystemStateResponse {
                    system: Some(wire::system(&one)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }
}
