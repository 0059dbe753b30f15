//! GrantRole: a role at a unit from a day on.

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{GrantRoleRequest, GrantRoleResponse};
use jiff::civil::Date;
use serde_json::json;

use super::granting::{known_role, may_grant};
use super::permission::{MANAGE_ROLES, READ_ACCOUNTS};
use super::recording::{About, announce_account, record, with_reason};
use crate::domain::record::RecordKind;
use crate::domain::role::{NewGrant, RoleGrant};
use crate::error::{DateProblem, IdentityError};
use crate::identity::{Identity, parse_id, refuse_self, resource_id};
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccountService/GrantRole";

/// Gives a role, within the rules of [`crate::domain::role`].
pub(crate) async fn grant_role(
    identity: &Identity,
    caller: &Caller,
    request: &GrantRoleRequest,
) -> Result<GrantRoleResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let account_id = resource_id(&request.account_id, IdentityError::AccountNotFound)?;
    let from = wire::day("effective_from", request.effective_from)?;
    let to = wire::day("effective_to", request.effective_to)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let (now, today) = (write.now(), write.today());
            let account = store::accounts::lock(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            caller.require(MANAGE_ROLES, &Resource::of_unit(account.unit_id))?;
            refuse_self(caller, account_id)?;
            known_role(identity, &request.role)?;
            let (effective_from, effective_to) = period(from, to, today)?;
            store::units::by_id(write.conn(), request.unit_id)
                .await?
                .filter(|unit| unit.in_force(effective_from))
                .ok_or(IdentityError::UnitNotFound)?;
            may_grant(identity, caller, MANAGE_ROLES, &request.role, request.unit_id)?;

            let grant = RoleGrant {
                grant_id: write.new_id(),
                role: request.role.clone(),
                unit_id: request.unit_id,
                effective_from,
                effective_to,
            };
            let new = NewGrant {
                grant: grant.clone(),
                account_id,
                granted_by: Some(caller.principal.subject),
                grant_time: now,
                reason: request.reason.clone(),
            };
            store::roles::insert(write.conn(), &new).await?;
            let version = store::accounts::touch(write.conn(), account_id, None, now).await?;
            let about = About {
                subject: Some(account_id),
                unit: Some(account.unit_id),
                actor: Some(caller.principal.subject),
            };
            let detail = format!("{} at unit {} from {effective_from}", grant.role, grant.unit_id);
            let detail = with_reason(detail, &request.reason);
            record(write, RecordKind::RoleGranted, about, detail).await?;

            let account = store::accounts::get(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            let account = wire::account(&account);
            announce_account(
                write,
                (account_id, version),
                "role_granted",
                json!({ "grant": grant.grant_id, "role": grant.role, "unit": grant.unit_id }),
                &account,
            );
            Ok(GrantRoleResponse { account: Some(account) })
        })
        .await
        .map(egov_database::Written::into_answer)
}

/// From today or later; the end lies after the beginning. What was in the past cannot be given any more.
fn period(from: Option<Date>, to: Option<Date>, today: Date) -> Result<(Date, Option<Date>), IdentityError> {
    let from = from.unwrap_or(today);
    if from < today {
        return Err(IdentityError::InvalidDate {
            field: "effective_from",
            problem: DateProblem::Past,
        });
    }
    if to.is_some_and(|to| to <= from) {
        return Err(IdentityError::InvalidDate {
            field: "effective_to",
            problem: DateProblem::EndsBeforeItBegins,
        });
    }
    Ok((from, to))
}
