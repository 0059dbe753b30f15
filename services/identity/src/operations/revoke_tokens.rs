//! RevokeTokens: every token and session of somebody ends.

use egov_auth::{Caller, Resource, RowScope};
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{RevokeTokensRequest, RevokeTokensResponse};
use uuid::Uuid;

use super::disable_account::administers;
use super::permission::{MANAGE_ACCOUNTS, READ_ACCOUNTS};
use super::recording::{About, record};
use crate::domain::record::RecordKind;
use crate::domain::session::SessionEnd;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, resource_id};
use crate::store;
use crate::store::revocations::Target;

const METHOD: &str = "/egov.identity.v1.KeyService/RevokeTokens";

/// Revokes everything of an account, a system or a citizen up to now. Systems and citizens belong to no unit: only whoever
/// administers the whole province sees them.
pub(crate) async fn revoke_tokens(
    identity: &Identity,
    caller: &Caller,
    request: &RevokeTokensRequest,
) -> Result<RevokeTokensResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let subject = resource_id(&request.subject_id, IdentityError::AccountNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let now = write.now();
            let unit = subject_unit(caller, write, &scope, subject).await?;
            let why = SessionEnd::Revoked;
            store::sessions::end_all(write.conn(), subject, why, now).await?;
            let about = About {
                subject: Some(subject),
                unit,
                actor: Some(caller.principal.subject),
            };
            record(write, RecordKind::TokensRevoked, about, request.reason.as_str()).await?;
            let expiry = Identity::revocation_expiry(now);
            store::revocations::append(write.conn(), &Target::Subject(subject), now, expiry).await?;
            Ok::<_, Fault>(RevokeTokensResponse {})
        })
        .await?;
    identity.spread().await;
    Ok(RevokeTokensResponse {})
}

/// The unit of the account, or none for a system or a citizen; refused if there is no such subject in the caller's scope.
async fn subject_unit(
    caller: &Caller,
    write: &mut UnitOfWork<'_>,
    scope: &RowScope,
    subject: Uuid,
) -> Result<Option<i32>, Fault> {
    if let Some(account) = store::accounts::lock(write.conn(), scope, subject).await? {
        administers(caller, &account, write.today())?;
        return Ok(Some(account.unit_id));
    }
    if !scope.all {
        return Err(IdentityError::AccountNotFound.into());
    }
    let known = store::systems::get(write.conn(), subject).await?.is_some()
        || store::citizens::exists(write.conn(), subject).await?;
    if !known {
        return Err(IdentityError::AccountNotFound.into());
    }
    caller.require(MANAGE_ACCOUNTS, &Resource::default())?;
    Ok(None)
}
