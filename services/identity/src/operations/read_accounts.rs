//! GetAccount, ListAccounts, ListSignIns.

use egov_auth::Caller;
use egov_database::{Page, page_of};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    ListAccountsRequest, ListAccountsResponse, ListSignInsRequest, ListSignInsResponse,
};
use uuid::Uuid;

use super::permission::READ_ACCOUNTS;
use crate::domain::account::Account;
use crate::error::IdentityError;
use crate::identity::{Identity, resource_id};
use crate::{store, wire};

const LIST_ACCOUNTS: &str = "/egov.identity.v1.AccountService/ListAccounts";
const LIST_SIGN_INS: &str = "/egov.identity.v1.AccountService/ListSignIns";

/// The account, if it is in the caller's scope.
pub(crate) async fn get_account(identity: &Identity, caller: &Caller, account_id: &str) -> Result<Account, Fault> {
    let account_id = resource_id(account_id, IdentityError::AccountNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    identity
        .database
        .read(&scope, async |conn| {
            store::accounts::get(conn, &scope, account_id)
                .await?
                .ok_or_else(|| IdentityError::AccountNotFound.into())
        })
        .await
}

/// The accounts in the caller's scope, by id.
pub(crate) async fn list_accounts(
    identity: &Identity,
    caller: &Caller,
    request: ListAccountsRequest,
) -> Result<ListAccountsResponse, Fault> {
    let page: Page<Uuid> = page_of!(identity.pages, caller, LIST_ACCOUNTS, request)?;
    let unit_id = (request.unit_id != 0).then_some(request.unit_id);
    let scope = caller.scope(READ_ACCOUNTS);
    let rows = identity
        .database
        .read(&scope, async |conn| {
            store::accounts::list(conn, &scope, unit_id, page.after().copied(), page.fetch()).await
        })
        .await?;
    let (accounts, next_page_token) = page.finish(rows, |account| account.account_id)?;
    Ok(ListAccountsResponse {
        accounts: accounts.iter().map(wire::account).collect(),
        next_page_token,
    })
}

/// The record of an account in the caller's scope, newest first.
pub(crate) async fn list_sign_ins(
    identity: &Identity,
    caller: &Caller,
    request: ListSignInsRequest,
) -> Result<ListSignInsResponse, Fault> {
    let account_id = resource_id(&request.account_id, IdentityError::AccountNotFound)?;
    let page: Page<Uuid> = page_of!(identity.pages, caller, LIST_SIGN_INS, request)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let rows = identity
        .database
        .read(&scope, async |conn| {
            store::accounts::get(conn, &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            store::records::list(conn, account_id, page.after().copied(), page.fetch()).await
        })
        .await?;
    let (records, next_page_token) = page.finish(rows, |record| record.record_id)?;
    Ok(ListSignInsResponse {
        records: records.iter().map(wire::record).collect(),
        next_page_token,
    })
}
