//! DefinitionService.

use egov_database::PageBinding;
use egov_fault::Fault;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::definition_service_server::DefinitionService;
use egov_runtime::accept;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::{Api, decode, encode, encode_definition, status};
use crate::domain::definition::draft::{DraftFilter, DraftState};
use crate::domain::definition::lint::is_publishable;
use crate::operations::drafting::DraftTarget;
use crate::operations::preview_migration::Versions;
use crate::operations::simulate::Filed;

const LIST: &str = "egov.onestop.v1.DefinitionService/ListDrafts";
const CHANGES: &str = "egov.onestop.v1.DefinitionService/ListDraftChanges";
const SIMULATE: &str = "egov.onestop.v1.DefinitionService/Simulate";
const PREVIEW: &str = "egov.onestop.v1.DefinitionService/PreviewMigration";
const MIGRATED: &str = "egov.onestop.v1.DefinitionService/ListMigratedCases";

/// The caller's own token, with which identity is asked who holds which role.
fn bearer(metadata: &MetadataMap) -> String {
    let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.split_once(' '))
        .map(|(_, token)| token.trim());
    token.unwrap_or_default().to_owned()
}

fn versions(
    code: &str,
    (from, to): (i32, i32),
    steps: &[proto::StepMapping],
    outcomes: &[proto::OutcomeMapping],
) -> Result<Versions, Fault> {
    Ok(Versions {
        procedure_code: code.to_owned(),
        from,
        to,
        steps: decode::step_mapping(steps)?,
        outcomes: decode::outcome_mappings(outcomes),
    })
}

#[tonic::async_trait]
impl DefinitionService for Api {
    async fn create_draft(
        &self,
        request: Request<proto::CreateDraftRequest>,
    ) -> Result<Response<proto::CreateDraftResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let request_id = decode::id(&message.request_id, "request_id")?;
        let answer = self
            .one_stop
            .create_draft(request.caller()?, request_id, message, |draft| {
                proto::CreateDraftResponse {
                    draft: Some(encode_definition::draft(draft)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn update_draft(
        &self,
        request: Request<proto::UpdateDraftRequest>,
    ) -> Result<Response<proto::UpdateDraftResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = DraftTarget {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            draft_id: decode::id(&message.draft_id, "draft_id")?,
            etag: &message.etag,
        };
        let answer = self
            .one_stop
            .update_draft(request.caller()?, target, |draft| proto::UpdateDraftResponse {
                draft: Some(encode_definition::draft(draft)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn discard_draft(
        &self,
        request: Request<proto::DiscardDraftRequest>,
    ) -> Result<Response<proto::DiscardDraftResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = DraftTarget {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            draft_id: decode::id(&message.draft_id, "draft_id")?,
            etag: &message.etag,
        };
        let answer = self
            .one_stop
            .discard_draft(request.caller()?, target, |draft| proto::DiscardDraftResponse {
                draft: Some(encode_definition::draft(draft)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_draft(
        &self,
        request: Request<proto::GetDraftRequest>,
    ) -> Result<Response<proto::GetDraftResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let draft_id = decode::id(&request.message.draft_id, "draft_id")?;
        let draft = self.one_stop.draft(request.caller()?, draft_id).await.map_err(status)?;
        Ok(Response::new(proto::GetDraftResponse {
            draft: Some(encode_definition::draft(&draft)),
        }))
    }

    async fn list_drafts(
        &self,
        request: Request<proto::ListDraftsRequest>,
    ) -> Result<Response<proto::ListDraftsResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let filter = DraftFilter {
            procedure_code: (!message.procedure_code.is_empty()).then(|| message.procedure_code.clone()),
            state: match message.state() {
                proto::DraftState::Unspecified => None,
                proto::DraftState::Open => Some(DraftState::Open),
                proto::DraftState::Published => Some(DraftState::Published),
                proto::DraftState::Discarded => Some(DraftState::Discarded),
            },
        };
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, LIST, &request.message))?;
        let (rows, next_page_token) = self.one_stop.list_drafts(caller, filter, page).await.map_err(status)?;
        Ok(Response::new(proto::ListDraftsResponse {
            drafts: rows.iter().map(encode_definition::listed_draft).collect(),
            next_page_token,
        }))
    }

    async fn list_draft_changes(
        &self,
        request: Request<proto::ListDraftChangesRequest>,
    ) -> Result<Response<proto::ListDraftChangesResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let draft_id = decode::id(&message.draft_id, "draft_id")?;
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, CHANGES, &request.message))?;
        let (rows, next_page_token) = self
            .one_stop
            .list_draft_changes(caller, draft_id, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListDraftChangesResponse {
            changes: rows.iter().map(encode_definition::change).collect(),
            next_page_token,
        }))
    }

    async fn lint_draft(
        &self,
        request: Request<proto::LintDraftRequest>,
    ) -> Result<Response<proto::LintDraftResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let draft_id = decode::id(&request.message.draft_id, "draft_id")?;
        let (draft, linted) = self
            .one_stop
            .lint_draft(request.caller()?, &bearer(request.metadata()), draft_id)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::LintDraftResponse {
            publishable: is_publishable(&linted.findings),
            findings: linted.findings.iter().map(encode_definition::finding).collect(),
            etag: draft.etag(),
        }))
    }

    async fn publish_draft(
        &self,
        request: Request<proto::PublishDraftRequest>,
    ) -> Result<Response<proto::PublishDraftResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        if message.legal_basis.trim().is_empty() {
            return Err(decode::blank("legal_basis").into());
        }
        let target = DraftTarget {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            draft_id: decode::id(&message.draft_id, "draft_id")?,
            etag: &message.etag,
        };
        let profile = self.one_stop.profile;
        let answer = self
            .one_stop
            .publish_draft(
                request.caller()?,
                &bearer(request.metadata()),
                target,
                |draft, versioned, warnings| proto::PublishDraftResponse {
                    draft: Some(encode_definition::draft(draft)),
                    procedure: Some(encode::whole_procedure(versioned, profile)),
                    warnings: warnings.iter().map(encode_definition::finding).collect(),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn simulate(
        &self,
        request: Request<proto::SimulateRequest>,
    ) -> Result<Response<proto::SimulateResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let draft_id = decode::id(&message.draft_id, "draft_id")?;
        let filed = Filed {
            from: decode::day(message.filed_from, "filed_from")?,
            until: decode::day(message.filed_until, "filed_until")?,
        };
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, SIMULATE, &request.message))?;
        let simulated = self
            .one_stop
            .simulate(caller, draft_id, filed, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::SimulateResponse {
            cases: simulated
                .cases
                .iter()
                .map(|(case, replayed)| encode_definition::simulated(case, replayed))
                .collect(),
            summary: Some(encode_definition::summary(&simulated.summed)),
            next_page_token: simulated.next_page_token,
        }))
    }

    async fn preview_migration(
        &self,
        request: Request<proto::PreviewMigrationRequest>,
    ) -> Result<Response<proto::PreviewMigrationResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let of = versions(
            &message.procedure_code,
            (message.from_version, message.to_version),
            &message.steps,
            &message.outcomes,
        )?;
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, PREVIEW, &request.message))?;
        let (rows, next_page_token) = self
            .one_stop
            .preview_migration(caller, of, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::PreviewMigrationResponse {
            cases: rows
                .iter()
                .map(|(case, outcome)| encode_definition::previewed(case, outcome))
                .collect(),
            next_page_token,
        }))
    }

    async fn start_migration(
        &self,
        request: Request<proto::StartMigrationRequest>,
    ) -> Result<Response<proto::StartMigrationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        for (field, text) in [("reason", &message.reason), ("legal_basis", &message.legal_basis)] {
            if text.trim().is_empty() {
                return Err(decode::blank(field).into());
            }
        }
        let request_id = decode::id(&message.request_id, "request_id")?;
        let of = versions(
            &message.procedure_code,
            (message.from_version, message.to_version),
            &message.steps,
            &message.outcomes,
        )?;
        let answer = self
            .one_stop
            .start_migration(request.caller()?, request_id, message, of, |migration| {
                proto::StartMigrationResponse {
                    migration: Some(encode_definition::migration(migration)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_migration(
        &self,
        request: Request<proto::GetMigrationRequest>,
    ) -> Result<Response<proto::GetMigrationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let id = decode::id(&request.message.migration_id, "migration_id")?;
        let migration = self.one_stop.migration(request.caller()?, id).await.map_err(status)?;
        Ok(Response::new(proto::GetMigrationResponse {
            migration: Some(encode_definition::migration(&migration)),
        }))
    }

    async fn list_migrated_cases(
        &self,
        request: Request<proto::ListMigratedCasesRequest>,
    ) -> Result<Response<proto::ListMigratedCasesResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let id = decode::id(&message.migration_id, "migration_id")?;
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, MIGRATED, &request.message))?;
        let (rows, next_page_token) = self
            .one_stop
            .list_migrated_cases(caller, id, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListMigratedCasesResponse {
            cases: rows.iter().map(encode_definition::outcome).collect(),
            next_page_token,
        }))
    }
}
