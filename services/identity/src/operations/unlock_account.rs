//! UnlockAccount: the lock that failed sign-ins brought is lifted.

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{UnlockAccountRequest, UnlockAccountResponse};
use serde_json::json;

use super::permission::{MANAGE_ACCOUNTS, READ_ACCOUNTS};
use super::recording::{About, announce_account, record};
use crate::domain::record::RecordKind;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, resource_id};
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccountService/UnlockAccount";

/// Forgets the failed sign-ins of an account's name.
pub(crate) async fn unlock_account(
    identity: &Identity,
    caller: &Caller,
    request: &UnlockAccountRequest,
) -> Result<UnlockAccountResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let account_id = resource_id(&request.account_id, IdentityError::AccountNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let now = write.now();
            let account = store::accounts::lock(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            caller.require(MANAGE_ACCOUNTS, &Resource::of_unit(account.unit_id))?;
            let key = identity.digests.attempt_key(&account.username);
            store::attempts::clear(write.conn(), &key).await?;
            let version = store::accounts::touch(write.conn(), account_id, None, now).await?;
            let about = About {
                subject: Some(account_id),
                unit: Some(account.unit_id),
                actor: Some(caller.principal.subject),
            };
            record(write, RecordKind::AccountUnlocked, about, "").await?;
            let after = store::accounts::get(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            let after = wire::account(&after);
            announce_account(
                write,
                (account_id, version),
                "account_unlocked",
                json!({ "unit": account.unit_id }),
                &after,
            );
            Ok(UnlockAccountResponse { account: Some(after) })
        })
        .await
        .map(egov_database::Written::into_answer)
}
