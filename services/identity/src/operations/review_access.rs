//! ReviewAccess: who has what where, and what a reviewer should look at.

use std::collections::HashMap;

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::{Page, page_of};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{ReviewAccessRequest, ReviewAccessResponse, ReviewEntry};
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::PgConnection;
use uuid::Uuid;

use super::permission::REVIEW_ACCESS;
use crate::domain::delegation::Delegation;
use crate::domain::review::{self, Criteria, Flag, Known, Round, Verdict};
use crate::domain::role::{GrantEntry, RoleGrant};
use crate::error::{DateProblem, IdentityError};
use crate::identity::Identity;
use crate::store::roles::GrantFilter;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccessService/ReviewAccess";

/// Unless the caller says otherwise, in days.
const UNUSED_DAYS: i32 = 90;
const ENDS_WITHIN_DAYS: i32 = 30;

/// What is known beside the grants of a page.
struct Facts {
    in_token: HashMap<Uuid, Date>,
    sign_ins: HashMap<Uuid, Timestamp>,
    verdicts: HashMap<Uuid, Verdict>,
    grants: HashMap<Uuid, Vec<RoleGrant>>,
    delegations: HashMap<Uuid, Vec<Delegation>>,
}

/// A page of the review.
pub(crate) async fn review_access(
    identity: &Identity,
    caller: &Caller,
    request: ReviewAccessRequest,
) -> Result<ReviewAccessResponse, Fault> {
    let today = identity.today();
    let criteria = criteria(&request, today)?;
    let of_day = ReviewAccessRequest {
        on: Some(criteria.on.into()),
        ..request.clone()
    };
    let page: Page<Uuid> = page_of!(identity.pages, caller, METHOD, of_day)?;
    let tree = identity.directory.tree().load_full();
    let filter = GrantFilter {
        account_id: None,
        units: (request.unit_id != 0).then(|| tree.subtree(request.unit_id)),
        role: None,
        on: criteria.on,
    };
    let scope = caller.scope(REVIEW_ACCESS);
    let (rows, facts) = identity
        .database
        .read(&scope, async |conn| {
            let rows = store::roles::list(conn, &scope, &filter, page.after().copied(), page.fetch()).await?;
            let facts = facts(conn, &rows, criteria.on).await?;
            Ok::<_, Fault>((rows, facts))
        })
        .await?;
    let (rows, next_page_token) = page.finish(rows, |entry| entry.grant.grant_id)?;
    let policies = identity.access.policies();
    let entries: Vec<(ReviewEntry, Uuid)> = rows
        .iter()
        .filter_map(|row| {
            let flags = flags(row, &facts, &criteria, &tree, policies.declares(&row.grant.role));
            let hidden = request.only_flagged && flags.is_empty()
                || request.only_without_verdict && !flags.contains(&Flag::NoVerdict);
            (!hidden).then(|| (entry(row, &facts, flags, today), row.account_id))
        })
        .collect();
    // Names and habits of many people at once: who looked, and why, is written before it leaves.
    let mut subjects: Vec<Uuid> = entries.iter().map(|(_, account)| *account).collect();
    subjects.sort_unstable();
    subjects.dedup();
    if !subjects.is_empty() {
        let resources = vec![format!("access_review/{}", criteria.on)];
        let record = ReadRecord::of(caller, subjects, resources, identity.clock.now());
        identity.reads.record(record).await?;
    }
    Ok(ReviewAccessResponse {
        entries: entries.into_iter().map(|(entry, _)| entry).collect(),
        next_page_token,
    })
}

fn criteria(request: &ReviewAccessRequest, today: Date) -> Result<Criteria, Fault> {
    let on = wire::day("on", request.on)?.unwrap_or(today);
    let due = wire::day("round_due", request.round_due)?.unwrap_or(today);
    let round = wire::day("round_from", request.round_from)?.map(|from| Round { from, due });
    if round.is_some_and(|round| round.due < round.from) {
        return Err(IdentityError::InvalidDate {
            field: "round_due",
            problem: DateProblem::EndsBeforeItBegins,
        }
        .into());
    }
    let or = |given: i32, default: i32| if given == 0 { default } else { given };
    Ok(Criteria {
        on,
        unused_days: or(request.unused_days, UNUSED_DAYS),
        ends_within_days: or(request.ends_within_days, ENDS_WITHIN_DAYS),
        round,
    })
}

async fn facts(conn: &mut PgConnection, rows: &[GrantEntry], on: Date) -> Result<Facts, Fault> {
    let grants: Vec<Uuid> = rows.iter().map(|row| row.grant.grant_id).collect();
    let mut accounts: Vec<Uuid> = rows.iter().map(|row| row.account_id).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let mut delegations: HashMap<Uuid, Vec<Delegation>> = HashMap::new();
    for delegation in store::delegations::open_on_grants(conn, &grants, on).await? {
        if delegation.in_force(on) {
            delegations.entry(delegation.grant_id).or_default().push(delegation);
        }
    }
    let mut held = store::roles::of_accounts(conn, &accounts).await?;
    for grants in held.values_mut() {
        grants.retain(|grant| grant.in_force(on));
    }
    Ok(Facts {
        in_token: store::reviews::last_in_token(conn, &grants).await?,
        sign_ins: store::reviews::last_sign_ins(conn, &accounts).await?,
        verdicts: store::reviews::last_verdicts(conn, &grants).await?,
        grants: held,
        delegations,
    })
}

fn flags(
    row: &GrantEntry,
    facts: &Facts,
    criteria: &Criteria,
    tree: &egov_auth::UnitTree,
    in_policies: bool,
) -> Vec<Flag> {
    let grant = &row.grant;
    let known = Known {
        grant,
        given_on: wire::day_of(row.grant_time),
        holder_unit: row.holder.as_ref().map(|holder| holder.unit_id),
        holder_disabled: row.holder.as_ref().is_some_and(|holder| holder.disabled),
        last_in_token: facts.in_token.get(&grant.grant_id).copied(),
        confirmed_on: facts
            .verdicts
            .get(&grant.grant_id)
            .map(|verdict| wire::day_of(verdict.review_time)),
        others: facts.grants.get(&row.account_id).map_or(&[], Vec::as_slice),
        in_policies,
    };
    review::flags(&known, criteria, tree)
}

fn entry(row: &GrantEntry, facts: &Facts, flags: Vec<Flag>, today: Date) -> ReviewEntry {
    let id = row.grant.grant_id;
    ReviewEntry {
        entry: Some(wire::grant_entry(row)),
        delegations: facts
            .delegations
            .get(&id)
            .into_iter()
            .flatten()
            .map(|delegation| wire::delegation(delegation, today))
            .collect(),
        last_sign_in_time: facts.sign_ins.get(&row.account_id).copied().map(egov_proto::timestamp),
        last_in_token: facts.in_token.get(&id).copied().map(Into::into),
        verdict: facts.verdicts.get(&id).map(wire::verdict),
        flags: flags.into_iter().map(|flag| flag as i32).collect(),
    }
}
