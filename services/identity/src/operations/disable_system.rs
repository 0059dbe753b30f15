//! DisableSystem: a system is closed, its tokens end.

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{DisableSystemRequest, DisableSystemResponse};

use super::permission::{MANAGE_SYSTEMS, READ_SYSTEMS};
use super::recording::{About, announce_system, record};
use crate::domain::record::RecordKind;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, resource_id};
use crate::store::revocations::Target;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.SystemService/DisableSystem";

/// Closes a system.
pub(crate) async fn disable_system(
    identity: &Identity,
    caller: &Caller,
    request: &DisableSystemRequest,
) -> Result<DisableSystemResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let system_id = resource_id(&request.system_id, IdentityError::SystemNotFound)?;
    let write = WriteRequest::by(caller, READ_SYSTEMS, METHOD, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            let now = write.now();
            if store::systems::get(write.conn(), system_id).await?.is_none() {
                return Err(Fault::from(IdentityError::SystemNotFound));
            }
            caller.require(MANAGE_SYSTEMS, &Resource::default())?;
            let version = store::systems::disable(write.conn(), system_id, now)
                .await?
                .ok_or(IdentityError::SystemNotFound)?;
            let about = About {
                subject: Some(system_id),
                unit: None,
                actor: Some(caller.principal.subject),
            };
            record(write, RecordKind::SystemDisabled, about, request.reason.as_str()).await?;
            let system = store::systems::get(write.conn(), system_id)
                .await?
                .ok_or(IdentityError::SystemNotFound)?;
            announce_system(write, &system.client_id, version, "system_disabled").await?;
            let answer = wire::system(&system);
            let expiry = Identity::revocation_expiry(now);
            store::revocations::append(write.conn(), &Target::Subject(system_id), now, expiry).await?;
            Ok(DisableSystemResponse { system: Some(answer) })
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}
