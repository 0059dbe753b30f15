//! CancelReorganisation: a plan is withdrawn before its day.

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{CancelReorganisationRequest, CancelReorganisationResponse};
use serde_json::json;

use super::permission::REORGANISE;
use super::recording::announce;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, resource_id};
use crate::store::reorganisations::Status;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.UnitService/CancelReorganisation";

/// Withdraws a plan whose day has not come.
pub(crate) async fn cancel_reorganisation(
    identity: &Identity,
    caller: &Caller,
    request: &CancelReorganisationRequest,
) -> Result<CancelReorganisationResponse, Fault> {
    caller.require(REORGANISE, &Resource::default())?;
    let request_id = parse_id(&request.request_id)?;
    let id = resource_id(&request.reorganisation_id, IdentityError::ReorganisationNotFound)?;
    let write = WriteRequest::by(caller, REORGANISE, METHOD, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let (now, today) = (write.now(), write.today());
            let mut reorganisation = store::reorganisations::lock(write.conn(), id)
                .await?
                .ok_or(IdentityError::ReorganisationNotFound)?;
            if reorganisation.version.to_string() != request.etag {
                return Err(IdentityError::StaleEtag.into());
            }
            if reorganisation.status != Status::Planned || reorganisation.effective_date <= today {
                return Err(Fault::from(IdentityError::ReorganisationNotPlanned));
            }
            reorganisation.status = Status::Cancelled;
            reorganisation.version += 1;
            store::reorganisations::update(write.conn(), &reorganisation, now).await?;
            let actor = Some(caller.principal.subject);
            store::reorganisations::insert_history(write.conn(), &reorganisation, actor, &request.reason, now).await?;
            let answer = wire::reorganisation(&reorganisation);
            announce(
                write,
                ("reorganisation", id, reorganisation.version),
                "reorganisation_cancelled",
                json!({ "effective_date": reorganisation.effective_date }),
                &answer,
            );
            Ok(CancelReorganisationResponse {
                reorganisation: Some(answer),
            })
        })
        .await
        .map(egov_database::Written::into_answer)
}
