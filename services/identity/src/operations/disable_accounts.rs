//! DisableAccounts: the accounts of people who leave, at once or on a day, in one transaction or not at all.

use std::collections::HashMap;

use egov_auth::{Caller, RowScope};
use egov_database::{Lease, UnitOfWork, WriteRequest, Written};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    ClosingOutcome, ClosingReport, DisableAccountsRequest, DisableAccountsResponse, RowViolation,
};
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::disable_account::{administers, close};
use super::permission::READ_ACCOUNTS;
use super::recording::{About, announce_account, record};
use crate::domain::account::{Account, canonical_username};
use crate::domain::record::RecordKind;
use crate::error::{DateProblem, IdentityError};
use crate::identity::{Identity, parse_id, refuse_self};
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccountBatchService/DisableAccounts";

/// Accounts of one transaction of the job.
const BATCH: i64 = 50;

/// Why a write wrote nothing.
enum Undone {
    Refused(DisableAccountsResponse),
    Failed(Fault),
}

impl From<Fault> for Undone {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// Closes the accounts, or names the day on which the job closes them.
pub(crate) async fn disable_accounts(
    identity: &Identity,
    caller: &Caller,
    request: &DisableAccountsRequest,
) -> Result<DisableAccountsResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let day = wire::day("closing_day", request.closing_day)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    let outcome = identity
        .database
        .write(write, async |write| {
            let today = write.today();
            let day = day.unwrap_or(today);
            if day < today {
                return Err(Undone::Failed(
                    IdentityError::InvalidDate {
                        field: "closing_day",
                        problem: DateProblem::Past,
                    }
                    .into(),
                ));
            }
            let (known, mut reports) = judge(caller, write, &scope, request).await?;
            if reports.iter().any(|report| report.outcome() == ClosingOutcome::Refused) {
                return Err(Undone::Refused(DisableAccountsResponse {
                    accounts: reports,
                    done: false,
                }));
            }
            for report in &mut reports {
                if report.outcome() != ClosingOutcome::Acceptable {
                    continue;
                }
                let Some(account) = known.get(&report.username) else {
                    continue;
                };
                report.outcome = if day <= today {
                    let by = Some(caller.principal.subject);
                    close(write, &scope, account, by, &request.reason).await?;
                    ClosingOutcome::Closed.into()
                } else {
                    schedule(caller, write, account, day, &request.reason).await?;
                    ClosingOutcome::Scheduled.into()
                };
            }
            Ok(DisableAccountsResponse {
                accounts: reports,
                done: true,
            })
        })
        .await;
    match outcome.map(Written::into_answer) {
        Ok(answer) => {
            identity.spread().await;
            Ok(answer)
        }
        Err(Undone::Refused(answer)) => Ok(answer),
        Err(Undone::Failed(fault)) => Err(fault),
    }
}

/// Locks the accounts, and says of each name what can be done.
async fn judge(
    caller: &Caller,
    write: &mut UnitOfWork<'_>,
    scope: &RowScope,
    request: &DisableAccountsRequest,
) -> Result<(HashMap<String, Account>, Vec<ClosingReport>), Fault> {
    let today = write.today();
    let names: Vec<String> = request.usernames.iter().map(|name| canonical_username(name)).collect();
    let ids: Vec<Uuid> = store::accounts::by_usernames(write.conn(), scope, &names)
        .await?
        .iter()
        .map(|account| account.account_id)
        .collect();
    store::accounts::lock_all(write.conn(), &ids).await?;
    // Read anew under the locks.
    let known: HashMap<String, Account> = store::accounts::by_usernames(write.conn(), scope, &names)
        .await?
        .into_iter()
        .map(|account| (account.username.clone(), account))
        .collect();
    let mut seen = std::collections::HashSet::new();
    let reports = names
        .into_iter()
        .map(|username| {
            let refused = |rule: &str, vi: &str, en: &str| {
                vec![RowViolation {
                    field: "usernames".to_owned(),
                    rule: rule.to_owned(),
                    vi: vi.to_owned(),
                    en: en.to_owned(),
                }]
            };
            let first = seen.insert(username.clone());
            let (account_id, outcome, violations) = match known.get(&username) {
                None => (
                    String::new(),
                    ClosingOutcome::Refused,
                    refused("account.unknown", "không có tài khoản này", "there is no such account"),
                ),
                Some(account) => {
                    let allowed = administers(caller, account, today)
                        .and_then(|()| refuse_self(caller, account.account_id))
                        .is_ok();
                    let (outcome, violations) = if !allowed {
                        let why = refused(
                            "account.forbidden",
                            "người gọi không được đóng tài khoản này",
                            "the caller may not close this account",
                        );
                        (ClosingOutcome::Refused, why)
                    } else if account.disabled_time.is_some() || !first {
                        (ClosingOutcome::AlreadyClosed, Vec::new())
                    } else {
                        (ClosingOutcome::Acceptable, Vec::new())
                    };
                    (account.account_id.to_string(), outcome, violations)
                }
            };
            ClosingReport {
                username,
                account_id,
                outcome: outcome.into(),
                violations,
            }
        })
        .collect();
    Ok((known, reports))
}

async fn schedule(
    caller: &Caller,
    write: &mut UnitOfWork<'_>,
    account: &Account,
    day: Date,
    reason: &str,
) -> Result<(), Fault> {
    let now = write.now();
    let by = caller.principal.subject;
    let id = account.account_id;
    let version = store::accounts::schedule_closing(write.conn(), id, day, reason, by, now).await?;
    let about = About {
        subject: Some(id),
        unit: Some(account.unit_id),
        actor: Some(by),
    };
    record(
        write,
        RecordKind::ClosingScheduled,
        about,
        format!("on {day}: {reason}"),
    )
    .await?;
    let after = Account {
        version,
        ..account.clone()
    };
    announce_account(
        write,
        (id, version),
        "account_closing_scheduled",
        json!({ "unit": account.unit_id, "day": day.to_string() }),
        &wire::account(&after),
    );
    Ok(())
}

/// Closes one batch of the accounts whose day has come; how many.
pub(crate) async fn close_leavers(identity: &Identity, lease: &Lease) -> Result<usize, Fault> {
    let everything = RowScope::everything();
    let closed = identity
        .database
        .work(lease, async |write| {
            let today = write.today();
            let leavers = store::accounts::leavers(write.conn(), today, BATCH).await?;
            let mut closed = 0;
            for leaver in leavers {
                let account = store::accounts::lock(write.conn(), &everything, leaver.account_id).await?;
                if let Some(account) = account.filter(|account| account.disabled_time.is_none()) {
                    close(write, &everything, &account, leaver.by, &leaver.reason).await?;
                    closed += 1;
                }
            }
            Ok::<_, Fault>(closed)
        })
        .await?;
    if closed > 0 {
        identity.spread().await;
    }
    Ok(closed)
}
