//! CreateAccounts: the accounts of a list, in one transaction or not at all.
//!
//! No password is hashed here: the accounts have none until their owners activate them, so a list of a thousand costs the sign-ins
//! of others nothing.

use std::collections::HashMap;

use egov_auth::{Caller, Resource, RowScope};
use egov_database::{UnitOfWork, WriteRequest, Written};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    CreateAccountsRequest, CreateAccountsResponse, RowOutcome, RowReport, RowViolation,
};
use egov_proto::timestamp;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;
use sqlx::PgConnection;

use super::create_account::{Enrolled, enrol};
use super::granting::{known_role, may_grant};
use super::permission::{MANAGE_ACCOUNTS, MANAGE_ROLES, READ_ACCOUNTS};
use super::recording::{About, announce_account, record};
use super::verify_totp::sealed_for;
use crate::config::signed;
use crate::domain::account::{Account, canonical_username};
use crate::domain::enrolment::{self, Problem, Row, Wanted};
use crate::domain::record::RecordKind;
use crate::domain::role::{NewGrant, RoleGrant};
use crate::domain::{activation, totp};
use crate::identity::{Identity, nobody_yet, parse_id};
use crate::store::activations::NewActivation;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccountBatchService/CreateAccounts";

/// What is to be done about a row.
enum Plan {
    Make(Wanted),
    Exists(Box<Account>, Vec<&'static str>),
    Refuse(Vec<Problem>),
}

/// Why a write wrote nothing.
enum Undone {
    /// Rows are refused.
    Refused(CreateAccountsResponse),
    Failed(Fault),
}

impl From<Fault> for Undone {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// Makes what does not exist yet. If a row is refused nothing is written, and nothing is remembered of the request: the corrected
/// list is another request, and so is the same one after somebody has put the cause right.
pub(crate) async fn create_accounts(
    identity: &Identity,
    caller: &Caller,
    request: &CreateAccountsRequest,
) -> Result<CreateAccountsResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let scope = caller.scope(READ_ACCOUNTS);
    if request.dry_run {
        let today = identity.today();
        let mut plans = identity
            .database
            .read(&scope, async |conn| {
                plans(identity, caller, conn, &scope, request, today).await
            })
            .await?;
        hidden_names(identity, &mut plans).await?;
        return Ok(CreateAccountsResponse {
            rows: report(request, &plans),
            done: false,
        });
    }
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    let outcome = identity
        .database
        .write(write, async |write| {
            let today = write.today();
            let mut plans = plans(identity, caller, write.conn(), &scope, request, today).await?;
            if plans.iter().all(|plan| !matches!(plan, Plan::Refuse(_))) {
                let mut rows = report(request, &plans);
                if carry_out(identity, caller, write, &scope, &mut plans, &mut rows).await? {
                    return Ok(CreateAccountsResponse { rows, done: true });
                }
            }
            Err(Undone::Refused(CreateAccountsResponse {
                rows: report(request, &plans),
                done: false,
            }))
        })
        .await;
    match outcome.map(Written::into_answer) {
        Ok(answer) | Err(Undone::Refused(answer)) => Ok(answer),
        Err(Undone::Failed(fault)) => Err(fault),
    }
}

/// What is to be done about each row, as far as the caller may see.
async fn plans(
    identity: &Identity,
    caller: &Caller,
    conn: &mut PgConnection,
    scope: &RowScope,
    request: &CreateAccountsRequest,
    today: Date,
) -> Result<Vec<Plan>, Fault> {
    let units: HashMap<String, i32> = store::units::all(&mut *conn)
        .await?
        .into_iter()
        .filter(|unit| unit.in_force(today))
        .map(|unit| (unit.code, unit.unit_id))
        .collect();
    let roles: Vec<Vec<(&str, &str)>> = request
        .rows
        .iter()
        .map(|row| {
            row.roles
                .iter()
                .map(|role| (role.role.as_str(), role.unit_code.as_str()))
                .collect()
        })
        .collect();
    let rows: Vec<Row<'_>> = request
        .rows
        .iter()
        .zip(&roles)
        .map(|(row, roles)| Row {
            username: &row.username,
            full_name: &row.full_name,
            unit_code: &row.unit_code,
            roles,
        })
        .collect();
    let checked = enrolment::check(
        &rows,
        |code| units.get(code).copied(),
        |role| known_role(identity, role).is_ok(),
    );
    let names: Vec<String> = request
        .rows
        .iter()
        .map(|row| canonical_username(&row.username))
        .collect();
    let mut known: HashMap<String, Account> = store::accounts::by_usernames(conn, scope, &names)
        .await?
        .into_iter()
        .map(|account| (account.username.clone(), account))
        .collect();
    Ok(checked
        .into_iter()
        .map(|row| match row {
            Err(problems) => Plan::Refuse(problems),
            Ok(wanted) => {
                let mut problems = Vec::new();
                if caller
                    .require(MANAGE_ACCOUNTS, &Resource::of_unit(wanted.unit_id))
                    .is_err()
                {
                    problems.push(Problem::NotYourUnit);
                }
                let gives = wanted.roles.iter().all(|role| {
                    caller
                        .require(MANAGE_ROLES, &Resource::of_unit(wanted.unit_id))
                        .and_then(|()| may_grant(identity, caller, MANAGE_ROLES, &role.role, role.unit_id))
                        .is_ok()
                });
                if !gives {
                    problems.push(Problem::NotYourRole);
                }
                match known.remove(&wanted.username) {
                    _ if !problems.is_empty() => Plan::Refuse(problems),
                    Some(account) => existing(account, &wanted, today),
                    None => Plan::Make(wanted),
                }
            }
        })
        .collect())
}

fn existing(account: Account, wanted: &Wanted, today: Date) -> Plan {
    let differences = enrolment::differences(&account, wanted, today);
    Plan::Exists(Box::new(account), differences)
}

/// Names that accounts of other units carry: the making of an account tells that as well.
async fn hidden_names(identity: &Identity, plans: &mut [Plan]) -> Result<(), Fault> {
    let names: Vec<String> = plans
        .iter()
        .filter_map(|plan| match plan {
            Plan::Make(wanted) => Some(wanted.username.clone()),
            _ => None,
        })
        .collect();
    let taken = identity
        .database
        .read(&nobody_yet(), async |conn| store::accounts::taken(conn, &names).await)
        .await?;
    for plan in plans {
        if matches!(plan, Plan::Make(wanted) if taken.contains(&wanted.username)) {
            *plan = Plan::Refuse(vec![Problem::Taken]);
        }
    }
    Ok(())
}

/// Makes the accounts, in the order of their names so that two lists at once do not wait for one another for ever. `false` if a name
/// turned out to be taken; then the transaction must not be committed.
async fn carry_out(
    identity: &Identity,
    caller: &Caller,
    write: &mut UnitOfWork<'_>,
    scope: &RowScope,
    plans: &mut [Plan],
    rows: &mut [RowReport],
) -> Result<bool, Fault> {
    let today = write.today();
    let mut order: Vec<(String, usize)> = plans
        .iter()
        .enumerate()
        .filter_map(|(place, plan)| match plan {
            Plan::Make(wanted) => Some((wanted.username.clone(), place)),
            _ => None,
        })
        .collect();
    order.sort_unstable();
    let mut all_made = true;
    for (username, place) in order {
        let (Some(plan), Some(row)) = (plans.get_mut(place), rows.get_mut(place)) else {
            continue;
        };
        let Plan::Make(wanted) = plan else { continue };
        if let Some(enrolled) = enrol(
            identity,
            write,
            (&username, &wanted.full_name, wanted.unit_id),
            Some(caller.principal.subject),
        )
        .await?
        {
            let (code, until) = made(identity, caller, write, &enrolled, wanted).await?;
            row.outcome = RowOutcome::Created.into();
            row.account_id = enrolled.account_id.to_string();
            row.activation_code = code;
            row.activation_expire_time = Some(timestamp(until));
            continue;
        }
        // Somebody was quicker, or it is somebody whom the caller does not see.
        let found = store::accounts::by_usernames(write.conn(), scope, std::slice::from_ref(&username))
            .await?
            .pop();
        *plan = match found {
            Some(account) => existing(account, wanted, today),
            None => {
                all_made = false;
                Plan::Refuse(vec![Problem::Taken])
            }
        };
        tell(row, plan);
    }
    Ok(all_made)
}

/// What a new account of a list gets: its roles, its activation code, its event.
async fn made(
    identity: &Identity,
    caller: &Caller,
    write: &mut UnitOfWork<'_>,
    enrolled: &Enrolled,
    wanted: &Wanted,
) -> Result<(String, Timestamp), Fault> {
    let (now, today) = (write.now(), write.today());
    let by = caller.principal.subject;
    let account_id = enrolled.account_id;
    let mut roles = Vec::with_capacity(wanted.roles.len());
    for role in &wanted.roles {
        let grant = RoleGrant {
            grant_id: write.new_id(),
            role: role.role.clone(),
            unit_id: role.unit_id,
            effective_from: today,
            effective_to: None,
        };
        let new = NewGrant {
            grant: grant.clone(),
            account_id,
            granted_by: Some(by),
            grant_time: now,
            reason: String::new(),
        };
        store::roles::insert(write.conn(), &new).await?;
        let about = About {
            subject: Some(account_id),
            unit: Some(wanted.unit_id),
            actor: Some(by),
        };
        let detail = format!("{} at unit {} from {today}", grant.role, grant.unit_id);
        record(write, RecordKind::RoleGranted, about, detail).await?;
        roles.push(grant);
    }
    let code = put_code(identity, write, account_id).await?;
    let account = Account {
        account_id,
        username: wanted.username.clone(),
        full_name: wanted.full_name.clone(),
        unit_id: wanted.unit_id,
        disabled_time: None,
        locked_until: None,
        roles,
        version: 1,
    };
    announce_account(
        write,
        (account_id, 1),
        "account_created",
        json!({ "unit": wanted.unit_id }),
        &wire::account(&account),
    );
    Ok(code)
}

/// Makes an activation code for an account, in the place of an earlier one, with a new secret of one-time codes.
pub(super) async fn put_code(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    account_id: uuid::Uuid,
) -> Result<(String, Timestamp), Fault> {
    let now = write.now();
    let code = activation::new_code(&**identity.database.ids());
    let canonical = activation::canonical(&code).ok_or_else(|| Fault::internal("a new code is none"))?;
    let mut secret = vec![0_u8; totp::SECRET_BYTES];
    identity.database.ids().random_bytes(&mut secret);
    let (sealed, seal_key_id) = identity.sealer().seal(&secret, &sealed_for(account_id));
    let expire_time = now
        .checked_add(signed(identity.settings.activation.lifetime))
        .unwrap_or(now);
    store::activations::put(
        write.conn(),
        NewActivation {
            account_id,
            code_digest: &identity.digests.activation(&canonical),
            totp_secret: &sealed,
            seal_key_id: &seal_key_id,
            now,
            expire_time,
        },
    )
    .await?;
    Ok((code, expire_time))
}

fn report(request: &CreateAccountsRequest, plans: &[Plan]) -> Vec<RowReport> {
    request
        .rows
        .iter()
        .zip(plans)
        .map(|(row, plan)| {
            let mut report = RowReport {
                line: row.line,
                username: canonical_username(&row.username),
                ..RowReport::default()
            };
            tell(&mut report, plan);
            report
        })
        .collect()
}

fn tell(report: &mut RowReport, plan: &Plan) {
    match plan {
        Plan::Make(_) => report.outcome = RowOutcome::Acceptable.into(),
        Plan::Exists(account, differences) => {
            report.account_id = account.account_id.to_string();
            report.outcome = if differences.is_empty() {
                RowOutcome::Unchanged.into()
            } else {
                RowOutcome::Differs.into()
            };
            report.violations = differences.iter().map(|field| difference(field)).collect();
        }
        Plan::Refuse(problems) => {
            report.outcome = RowOutcome::Refused.into();
            report.violations = problems.iter().map(|problem| violation(*problem)).collect();
        }
    }
}

pub(super) fn violation(problem: Problem) -> RowViolation {
    let (field, rule, vi, en) = problem.row();
    RowViolation {
        field: field.to_owned(),
        rule: rule.to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }
}

fn difference(field: &str) -> RowViolation {
    RowViolation {
        field: field.to_owned(),
        rule: "account.differs".to_owned(),
        vi: "tài khoản đã có nhưng khác với danh sách; không thay đổi gì".to_owned(),
        en: "the account exists and differs from the list; nothing was changed".to_owned(),
    }
}
