//! PreviewReorganisation and CreateReorganisation: a plan is judged by the same rules, whether it is shown or kept.

use std::collections::HashMap;

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    CreateReorganisationRequest, CreateReorganisationResponse, PlanViolation, PlannedChange,
    PreviewReorganisationRequest, PreviewReorganisationResponse, ReorganisationPlan,
};
use serde_json::json;
use sqlx::PgConnection;

use super::permission::REORGANISE;
use super::recording::announce;
use crate::domain::reorganisation::{Flaw, Judge, Plan, Planned, carry, change_of, check};
use crate::domain::unit::{FactStatus, Unit};
use crate::error::plan_refused;
use crate::identity::{Identity, parse_id};
use crate::store::reorganisations::{Reorganisation, Status};
use crate::{store, wire};

const CREATE: &str = "/egov.identity.v1.UnitService/CreateReorganisation";

/// A plan as it was judged.
struct Judged {
    plan: Plan,
    units: Vec<Unit>,
    flaws: Vec<Flaw>,
}

/// Reads a plan, carries departments along if it says so, and judges it.
async fn judge(
    conn: &mut PgConnection,
    requested: &ReorganisationPlan,
    today: jiff::civil::Date,
) -> Result<Judged, Fault> {
    let units = store::units::all(conn).await?;
    let others: Vec<Plan> = store::reorganisations::planned(conn)
        .await?
        .into_iter()
        .filter_map(|other| other.plan)
        .collect();
    let mut plan = wire::read_plan(requested)?;
    if requested.carry_departments {
        plan = carry(plan, &units);
    }
    let judge = Judge {
        units: &units,
        others: &others,
        today,
    };
    let flaws = check(&plan, judge);
    Ok(Judged { plan, units, flaws })
}

/// What a plan would do, and everything that is wrong with it.
pub(crate) async fn preview_reorganisation(
    identity: &Identity,
    caller: &Caller,
    request: &PreviewReorganisationRequest,
) -> Result<PreviewReorganisationResponse, Fault> {
    caller.require(REORGANISE, &Resource::default())?;
    let requested = request.plan.clone().unwrap_or_default();
    let today = identity.today();
    let (judged, counts) = identity
        .database
        .read(&caller.scope(REORGANISE), async |conn| {
            let judged = judge(conn, &requested, today).await?;
            let closing: Vec<i32> = judged.plan.closings.iter().map(|closing| closing.unit_id).collect();
            let counts = store::reorganisations::counts(conn, &closing, judged.plan.effective_date).await?;
            Ok::<_, Fault>((judged, counts))
        })
        .await?;
    let Judged { plan, units, flaws } = judged;
    let by_id: HashMap<i32, &Unit> = units.iter().map(|unit| (unit.unit_id, unit)).collect();
    let mut answer = PreviewReorganisationResponse {
        openings: plan.openings.iter().map(wire::planned_opening).collect(),
        violations: flaws
            .into_iter()
            .map(|flaw| PlanViolation {
                field: flaw.field,
                rule: flaw.rule.to_owned(),
                message_vi: flaw.vi,
                message_en: flaw.en,
            })
            .collect(),
        ..PreviewReorganisationResponse::default()
    };
    for closing in &plan.closings {
        let Some(unit) = by_id.get(&closing.unit_id) else {
            continue;
        };
        let (accounts, roles) = counts.get(&closing.unit_id).copied().unwrap_or_default();
        if closing.successor.is_some() {
            answer.accounts_moved += accounts;
            answer.roles_moved += roles;
        } else {
            answer.accounts_left += accounts;
            answer.roles_ended += roles;
        }
        answer.changes.push(PlannedChange {
            unit: Some(wire::unit(unit)),
            change: i32::from(change_of(&plan, &by_id, closing).number()),
            successor: closing.successor.as_ref().map(wire::planned_unit),
            successor_name: closing
                .successor
                .as_ref()
                .and_then(|successor| name_of(&plan, &by_id, successor))
                .unwrap_or_default(),
            accounts,
            roles,
        });
    }
    Ok(answer)
}

fn name_of(plan: &Plan, units: &HashMap<i32, &Unit>, planned: &Planned) -> Option<String> {
    match planned {
        Planned::Unit(id) => units.get(id).map(|unit| unit.name.clone()),
        Planned::Opening(key) => plan
            .openings
            .iter()
            .find(|opening| opening.key == *key)
            .map(|opening| opening.name.clone()),
    }
}

/// Keeps a plan until its day.
pub(crate) async fn create_reorganisation(
    identity: &Identity,
    caller: &Caller,
    request: &CreateReorganisationRequest,
) -> Result<CreateReorganisationResponse, Fault> {
    caller.require(REORGANISE, &Resource::default())?;
    let request_id = parse_id(&request.request_id)?;
    let requested = request.plan.clone().unwrap_or_default();
    let write = WriteRequest::by(caller, REORGANISE, CREATE, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let (now, today) = (write.now(), write.today());
            // Plans take turns: each is judged beside those that wait already.
            store::units::lock_tree(write.conn()).await?;
            let Judged { plan, flaws, .. } = judge(write.conn(), &requested, today).await?;
            if !flaws.is_empty() {
                return Err(plan_refused(flaws));
            }
            let became = Reorganisation {
                reorganisation_id: write.new_id(),
                effective_date: plan.effective_date,
                title: plan.title.clone(),
                legal_basis: plan.legal_basis.clone(),
                status: Status::Planned,
                fact_status: FactStatus::Decided,
                source: None,
                plan: Some(plan),
                problem: String::new(),
                version: 1,
                closed_units: 0,
            };
            store::reorganisations::insert(write.conn(), &became, now).await?;
            let actor = Some(caller.principal.subject);
            store::reorganisations::insert_history(write.conn(), &became, actor, "planned", now).await?;
            let answer = wire::reorganisation(&became);
            announce(
                write,
                ("reorganisation", became.reorganisation_id, became.version),
                "reorganisation_planned",
                json!({ "effective_date": became.effective_date }),
                &answer,
            );
            Ok(CreateReorganisationResponse {
                reorganisation: Some(answer),
            })
        })
        .await
        .map(egov_database::Written::into_answer)
}
