//! LinkIdentity, UnlinkIdentity, ListIdentities: what an issuer calls the owner of an account.
//!
//! A link is made by somebody who administers the account wholly, on purpose, and never because an e-mail address or a name is
//! the same: an issuer decides by itself which addresses it writes into its tokens.

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::{Fault, Violation};
use egov_proto::egov::identity::v1::{
    LinkIdentityRequest, LinkIdentityResponse, UnlinkIdentityRequest, UnlinkIdentityResponse,
};
use jiff::civil::Date;
use serde_json::json;

use super::disable_account::administers;
use super::issuers::end_begun_by;
use super::permission::{MANAGE_ACCOUNTS, READ_ACCOUNTS};
use super::recording::{About, announce_link, record, with_reason};
use crate::domain::account::Account;
use crate::domain::delegation::Delegation;
use crate::domain::id_token::is_subject;
use crate::domain::record::RecordKind;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, refuse_self, resource_id};
use crate::store::federation::Link;
use crate::{store, wire};

const LINK: &str = "/egov.identity.v1.FederationService/LinkIdentity";
const UNLINK: &str = "/egov.identity.v1.FederationService/UnlinkIdentity";

/// The caller administers what the account can do by a link: beside its unit every unit where it holds a role or will, and every unit
/// of a role with which it acts, or will, by delegation. Otherwise a link would be a way to a role of somebody else's unit.
fn may_link(caller: &Caller, account: &Account, open: &[Delegation], today: Date) -> Result<(), Fault> {
    let granted = account.roles.iter().filter(|grant| !grant.has_ended(today));
    let delegated = open
        .iter()
        .filter(|delegation| delegation.delegatee_id == account.account_id);
    granted
        .map(|grant| grant.unit_id)
        .chain(delegated.map(|delegation| delegation.unit_id))
        .chain([account.unit_id])
        .try_for_each(|unit| caller.require(MANAGE_ACCOUNTS, &Resource::of_unit(unit)))
}

/// Links an account. The issuer is held before the account, in the order of a sign-in, so that the two never wait for one another.
pub(crate) async fn link_identity(
    identity: &Identity,
    caller: &Caller,
    request: &LinkIdentityRequest,
) -> Result<LinkIdentityResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let account_id = resource_id(&request.account_id, IdentityError::AccountNotFound)?;
    let issuer_id = resource_id(&request.issuer_id, IdentityError::IssuerNotFound)?;
    if !is_subject(&request.subject) {
        return Err(Fault::invalid(vec![Violation {
            field: "subject".to_owned(),
            rule: "subject.ascii".to_owned(),
            vi: "chỉ gồm ký tự ASCII, tối đa 255 ký tự".to_owned(),
            en: "must be at most 255 characters of ASCII".to_owned(),
        }]));
    }
    // Who gets an account is no secret of the request: the digest of the subject stands for it in what is compared.
    let subject = identity.digests.staff_subject(&issuer_id.to_string(), &request.subject);
    let comparable = LinkIdentityRequest {
        subject: format!("{subject:?}"),
        ..request.clone()
    };
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, LINK, request_id, &comparable);
    identity
        .database
        .write(write, async |write| {
            let (now, actor) = (write.now(), caller.principal.subject);
            let issuer = store::federation::hold_issuer(write.conn(), issuer_id).await?;
            let account = store::accounts::lock(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            refuse_self(caller, account_id)?;
            let today = write.today();
            // Whoever sees the account sees every delegation and grant of it, wherever the other side and the unit are: so the
            // policies of row-level security have it, and a test.
            let open = store::delegations::open_of(write.conn(), account_id, today).await?;
            may_link(caller, &account, &open, today)?;
            if account.disabled_time.is_some() {
                return Err(Fault::from(IdentityError::AccountClosed));
            }
            let issuer = issuer.ok_or(IdentityError::IssuerNotFound)?;
            if issuer.disabled {
                return Err(IdentityError::IssuerDisabled.into());
            }
            let tree = identity.directory.tree().load_full();
            if !issuer.settings.may_speak_for(account.unit_id, &tree) {
                return Err(IdentityError::IssuerNotForUnit.into());
            }
            let link = Link {
                identity_id: write.new_id(),
                account_id,
                issuer_id,
                issuer_title: issuer.settings.title,
                link_time: now,
                linked_by: actor,
            };
            if !store::federation::link(write.conn(), &link, &subject).await? {
                return Err(IdentityError::IdentityTaken.into());
            }
            let about = About {
                subject: Some(account_id),
                unit: Some(account.unit_id),
                actor: Some(actor),
            };
            record(write, RecordKind::IdentityLinked, about, format!("issuer {issuer_id}")).await?;
            let answer = wire::federated_identity(&link);
            let payload = json!({ "account": account_id, "issuer": issuer_id, "unit": account.unit_id });
            announce_link(write, link.identity_id, "identity_linked", payload).await?;
            Ok(LinkIdentityResponse { identity: Some(answer) })
        })
        .await
        .map(egov_database::Written::into_answer)
}

/// Takes a link away, with the sessions that began by it.
pub(crate) async fn unlink_identity(
    identity: &Identity,
    caller: &Caller,
    request: &UnlinkIdentityRequest,
) -> Result<UnlinkIdentityResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let identity_id = resource_id(&request.identity_id, IdentityError::IdentityNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, UNLINK, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            let (now, actor) = (write.now(), caller.principal.subject);
            let (account_id, issuer_id) = store::federation::lock_identity(write.conn(), identity_id)
                .await?
                .ok_or(IdentityError::IdentityNotFound)?;
            let account = store::accounts::lock(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::IdentityNotFound)?;
            administers(caller, &account, write.today())?;
            refuse_self(caller, account_id)?;
            store::federation::unlink(write.conn(), identity_id, actor, &request.reason, now).await?;
            let about = About {
                subject: Some(account_id),
                unit: Some(account.unit_id),
                actor: Some(actor),
            };
            let detail = with_reason(format!("issuer {issuer_id}"), &request.reason);
            record(write, RecordKind::IdentityUnlinked, about, detail).await?;
            let payload = json!({ "account": account_id, "issuer": issuer_id, "unit": account.unit_id });
            announce_link(write, identity_id, "identity_unlinked", payload).await?;
            end_begun_by(write, issuer_id, Some(account_id)).await?;
            Ok::<_, Fault>(UnlinkIdentityResponse {})
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}

/// The links of an account in the caller's scope.
pub(crate) async fn list_identities(
    identity: &Identity,
    caller: &Caller,
    account_id: &str,
) -> Result<Vec<Link>, Fault> {
    let account_id = resource_id(account_id, IdentityError::AccountNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    identity
        .database
        .read(&scope, async |conn| {
            store::accounts::get(conn, &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            store::federation::identities_of(conn, account_id).await
        })
        .await
}
