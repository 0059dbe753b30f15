//! ConfirmGrant: a reviewer keeps a grant.

use egov_auth::Caller;
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{ConfirmGrantRequest, ConfirmGrantResponse};
use serde_json::json;

use super::granting::open_grant;
use super::permission::READ_ACCOUNTS;
use super::recording::{About, REVIEW_KIND, announce_canonical, canonical_review, record, with_reason};
use crate::domain::record::RecordKind;
use crate::domain::review::Verdict;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, resource_id};
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccessService/ConfirmGrant";

/// Records a verdict. Who may give a role may keep it, and nobody keeps their own.
pub(crate) async fn confirm_grant(
    identity: &Identity,
    caller: &Caller,
    request: &ConfirmGrantRequest,
) -> Result<ConfirmGrantResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let grant_id = resource_id(&request.grant_id, IdentityError::GrantNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let now = write.now();
            let (account, grant) = open_grant(identity, caller, write, &scope, grant_id).await?;
            let account_id = account.account_id;
            let verdict = Verdict {
                reviewer_id: caller.principal.subject,
                review_time: now,
                note: request.note.clone(),
            };
            let review_id = write.new_id();
            store::reviews::insert(write.conn(), review_id, grant_id, &verdict).await?;
            let about = About {
                subject: Some(account_id),
                unit: Some(account.unit_id),
                actor: Some(verdict.reviewer_id),
            };
            let detail = format!("{} at unit {}", grant.role, grant.unit_id);
            record(
                write,
                RecordKind::RoleConfirmed,
                about,
                with_reason(detail, &request.note),
            )
            .await?;
            let answer = wire::verdict(&verdict);
            announce_canonical(
                write,
                (REVIEW_KIND, review_id, 1),
                "role_confirmed",
                json!({ "grant": grant_id, "role": grant.role, "unit": grant.unit_id }),
                &canonical_review(grant_id, &verdict),
            );
            Ok(ConfirmGrantResponse { verdict: Some(answer) })
        })
        .await
        .map(egov_database::Written::into_answer)
}
