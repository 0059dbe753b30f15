//! ImportTreasuryFile (tệp kho bạc): what the treasury booked, whole or not at all.

use egov_auth::Caller;
use egov_database::{Event, UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{ImportTreasuryFileRequest, ImportTreasuryFileResponse};
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::record;
use crate::domain::reconcile::TREASURY_FILE;
use crate::domain::treasury::{Booked, read_treasury_file};
use crate::error::Error;
use crate::fee_error::FeeError;
use crate::operations::OneStop;
use crate::operations::act::Actor;
use crate::operations::import::sha256;
use crate::store::charges::FeeAct;
use crate::store::reconciliations;
use crate::store::treasury_files::{self, TreasuryFile};

/// A file as it comes.
pub(crate) struct NewTreasuryFile<'a> {
    pub(crate) request_id: Uuid,
    pub(crate) body: &'a ImportTreasuryFileRequest,
    pub(crate) day: Date,
}

/// What is in a file.
pub(crate) struct Imported {
    /// None for a dry run.
    pub(crate) file_id: Option<Uuid>,
    pub(crate) entries: i32,
    pub(crate) amount_vnd: i64,
    pub(crate) format: String,
}

impl OneStop {
    /// Takes a file in, or only says what is in it.
    pub(crate) async fn import_treasury_file(
        &self,
        caller: &Caller,
        new: NewTreasuryFile<'_>,
        answer: impl FnOnce(&Imported) -> ImportTreasuryFileResponse + Send,
    ) -> Result<ImportTreasuryFileResponse, Error> {
        let body = new.body;
        let scope = self.require_reconciler(caller, body.unit_id)?;
        let law = self.law.get();
        let format = law
            .treasury_format(new.day)
            .filter(|format| format.may_be_used(self.profile))
            .ok_or(FeeError::FormatUnknown(new.day))?;
        let booked: Vec<Booked> = read_treasury_file(&body.content, format).map_err(FeeError::FileFlawed)?;
        let entries = i32::try_from(booked.len()).unwrap_or(i32::MAX);
        let amount_vnd = booked.iter().fold(0_i64, |sum, one| sum.saturating_add(one.amount_vnd));
        let content_hash = sha256(&body.content);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.FeeService/ImportTreasuryFile",
            new.request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                // Of two who import at once the second waits here, and is told of the first one's file.
                reconciliations::hold_day(unit.conn(), body.unit_id, new.day).await?;
                let known = treasury_files::file_with(unit.conn(), body.unit_id, new.day, &content_hash).await?;
                if let Some(known) = known {
                    return Err(FeeError::FileKnown(known).into());
                }
                let mut imported = Imported {
                    file_id: None,
                    entries,
                    amount_vnd,
                    format: format.name.clone(),
                };
                if body.dry_run {
                    return Ok::<_, Error>(answer(&imported));
                }
                let file = TreasuryFile {
                    file_id: unit.new_id(),
                    unit_id: body.unit_id,
                    day: new.day,
                    format: format.name.clone(),
                    sha256: content_hash.clone(),
                    entries,
                    amount_vnd,
                    actor_id: caller.principal.subject,
                    import_time: unit.now(),
                };
                treasury_files::insert_file(unit.conn(), &file, &booked).await?;
                unit.publish(Event {
                    aggregate_kind: TREASURY_FILE,
                    aggregate_id: file.file_id,
                    version: 1,
                    kind: "treasury_file_imported",
                    payload: json!({
                        "responsible_unit_id": file.unit_id,
                        "day": file.day,
                        "entries": entries,
                        "amount_vnd": amount_vnd,
                    }),
                });
                let actor = Actor::from(caller.principal.as_ref());
                let content = json!({
                    "file_id": file.file_id,
                    "unit_id": file.unit_id,
                    "day": file.day,
                    "format": file.format,
                    "sha256": hex::encode(&file.sha256),
                    "entries": booked,
                });
                record(
                    unit,
                    &FeeAct {
                        unit_id: file.unit_id,
                        owner_id: None,
                        kind: TREASURY_FILE,
                        resource_id: file.file_id,
                        version: 1,
                        act: "import",
                        actor_id: actor.id,
                        actor_kind: actor.kind,
                        on_behalf_of: None,
                        reason: String::new(),
                        record_time: file.import_time,
                        content: content.to_string(),
                    },
                )
                .await?;
                imported.file_id = Some(file.file_id);
                Ok(answer(&imported))
            })
            .await?;
        Ok(written.into_answer())
    }
}
