//! TakeBackTreasuryFile (tệp kho bạc nhập nhầm): a file no longer counts, and what rested on it is to be done again.

use egov_auth::Caller;
use egov_database::{Event, UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{TakeBackTreasuryFileRequest, TakeBackTreasuryFileResponse};
use serde_json::json;
use uuid::Uuid;

use super::reconcile_day::reopen;
use super::{of_units, record};
use crate::domain::reconcile::{TREASURY_FILE, resting_on};
use crate::error::Error;
use crate::fee_error::FeeError;
use crate::operations::OneStop;
use crate::operations::act::Actor;
use crate::store::charges::{self, FeeAct};
use crate::store::reconciliations;
use crate::store::treasury_files::{self, KnownFile, TakenBack};

/// What came of taking a file back.
pub(crate) struct TakenBackFile {
    /// The file as it is now.
    pub(crate) file: KnownFile,
    /// How many payments are đã thanh toán again.
    pub(crate) reopened: usize,
}

impl OneStop {
    /// Takes a file back: its lines no longer count, days that were reconciled with it are to be reconciled again, and what agreed by it
    /// alone is đã thanh toán until then. Nothing of it is deleted.
    pub(crate) async fn take_back_treasury_file(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &TakeBackTreasuryFileRequest,
        (file_id, reason): (Uuid, String),
        answer: impl FnOnce(&TakenBackFile) -> TakeBackTreasuryFileResponse + Send,
    ) -> Result<TakeBackTreasuryFileResponse, Error> {
        let (scope, units) = self.reconciled_units(caller, None)?;
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.FeeService/TakeBackTreasuryFile",
            request_id,
            body,
        );
        let actor = Actor::from(caller.principal.as_ref());
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let found = treasury_files::get(unit.conn(), file_id, &units)
                    .await?
                    .ok_or(FeeError::FileNotFound)?;
                let unit_id = found.file.unit_id;
                // Whoever reconciles the unit meanwhile has ended, or waits; of two who take it back at once the second is told so.
                reconciliations::hold_unit(unit.conn(), unit_id).await?;
                let known = treasury_files::get(unit.conn(), file_id, &units)
                    .await?
                    .ok_or(FeeError::FileNotFound)?;
                if let Some(before) = known.taken_back {
                    return Err(FeeError::FileTakenBack(before.time).into());
                }
                let file = known.file;
                let now = unit.now();
                let said = treasury_files::said_with(unit.conn(), unit_id, file_id).await?;
                let resting: Vec<String> = resting_on(file_id, &said).into_iter().collect();
                let taken_back = TakenBack {
                    reason,
                    actor_id: actor.id,
                    time: now,
                };
                treasury_files::take_back(unit.conn(), &file, &taken_back).await?;
                let days = reconciliations::mark_again(unit.conn(), unit_id, file_id, now).await?;
                let agreed = charges::reconciled_under(unit.conn(), unit_id, &days, &resting).await?;
                let at = self.charged_at(unit_id, unit.today());
                if at.len() > 1 {
                    unit.hand_over_to(&at).await?;
                }
                let mut reopened = Vec::new();
                for (case_id, payment_id) in agreed {
                    // One whose charge is out of sight is not changed.
                    let Some(charge) = charges::get(unit.conn(), case_id, &of_units(&at), true).await? else {
                        continue;
                    };
                    let (_, is_reopened) = reopen(unit, &actor, charge, payment_id).await?;
                    if is_reopened {
                        reopened.push(payment_id);
                    }
                }
                unit.publish(Event {
                    aggregate_kind: TREASURY_FILE,
                    aggregate_id: file_id,
                    version: 2,
                    kind: "treasury_file_taken_back",
                    payload: json!({
                        "responsible_unit_id": unit_id,
                        "day": file.day,
                        "entries": file.entries,
                        "amount_vnd": file.amount_vnd,
                        "reconcile_again": days,
                    }),
                });
                let content = json!({
                    "file_id": file_id,
                    "unit_id": unit_id,
                    "day": file.day,
                    "sha256": hex::encode(&file.sha256),
                    "reason": taken_back.reason,
                    "taken_back_by": taken_back.actor_id,
                    "take_back_time": taken_back.time,
                    "reconcile_again": days,
                    "reopened": reopened,
                });
                record(
                    unit,
                    &FeeAct {
                        unit_id,
                        owner_id: None,
                        kind: TREASURY_FILE,
                        resource_id: file_id,
                        version: 2,
                        act: "take_back",
                        actor_id: actor.id,
                        actor_kind: actor.kind,
                        on_behalf_of: None,
                        reason: taken_back.reason.clone(),
                        record_time: now,
                        content: content.to_string(),
                    },
                )
                .await?;
                Ok::<_, Error>(answer(&TakenBackFile {
                    file: KnownFile {
                        file,
                        taken_back: Some(taken_back),
                        reconcile_again: days,
                    },
                    reopened: reopened.len(),
                }))
            })
            .await?;
        Ok(written.into_answer())
    }
}
