//! DisableAccount: an account is closed, its sessions and tokens end.

use egov_auth::{Caller, Resource, RowScope};
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{DisableAccountRequest, DisableAccountResponse};
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::delegating;
use super::permission::{MANAGE_ACCOUNTS, READ_ACCOUNTS};
use super::recording::{About, announce_account, record};
use crate::domain::account::Account;
use crate::domain::record::RecordKind;
use crate::domain::session::SessionEnd;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, refuse_self, resource_id};
use crate::store::revocations::Target;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccountService/DisableAccount";

/// The caller administers the account: its unit, and every unit where it holds a role today. Otherwise the administrator of
/// a unit could shut out the administrator of the province who happens to belong to it.
pub(crate) fn administers(caller: &Caller, account: &Account, today: Date) -> Result<(), Fault> {
    caller.require(MANAGE_ACCOUNTS, &Resource::of_unit(account.unit_id))?;
    account
        .roles
        .iter()
        .filter(|grant| grant.in_force(today))
        .try_for_each(|grant| caller.require(MANAGE_ACCOUNTS, &Resource::of_unit(grant.unit_id)))
}

/// Closes an account. One that is closed already stays so; its sessions and tokens are revoked all the same.
pub(crate) async fn disable_account(
    identity: &Identity,
    caller: &Caller,
    request: &DisableAccountRequest,
) -> Result<DisableAccountResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let account_id = resource_id(&request.account_id, IdentityError::AccountNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            let account = store::accounts::lock(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            administers(caller, &account, write.today())?;
            refuse_self(caller, account_id)?;
            let by = Some(caller.principal.subject);
            let after = close(write, &scope, &account, by, &request.reason).await?;
            Ok::<_, Fault>(DisableAccountResponse { account: Some(after) })
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}

/// Closes a locked account: its sessions, its tokens, and the delegations of which it is either side.
pub(crate) async fn close(
    write: &mut UnitOfWork<'_>,
    scope: &RowScope,
    account: &Account,
    by: Option<Uuid>,
    reason: &str,
) -> Result<egov_proto::egov::identity::v1::Account, Fault> {
    let (now, today) = (write.now(), write.today());
    let account_id = account.account_id;
    let version = store::accounts::touch(write.conn(), account_id, Some(now), now).await?;
    store::sessions::end_all(write.conn(), account_id, SessionEnd::AccountDisabled, now).await?;
    let about = About {
        subject: Some(account_id),
        unit: Some(account.unit_id),
        actor: by,
    };
    record(write, RecordKind::AccountDisabled, about, reason).await?;
    let after = store::accounts::get(write.conn(), scope, account_id)
        .await?
        .ok_or(IdentityError::AccountNotFound)?;
    let after = wire::account(&after);
    announce_account(
        write,
        (account_id, version),
        "account_disabled",
        json!({ "unit": account.unit_id }),
        &after,
    );
    let open = store::delegations::open_of(write.conn(), account_id, today).await?;
    let ended = delegating::end(write, open, by, "account closed").await?;
    let expiry = Identity::revocation_expiry(now);
    store::revocations::append(write.conn(), &Target::Subject(account_id), now, expiry).await?;
    delegating::revoke(write, &ended).await?;
    Ok(after)
}
