//! RegisterIssuer, UpdateIssuer, DisableIssuer, GetIssuer, ListIssuers.

use egov_auth::{Caller, Resource};
use egov_database::{Page, UnitOfWork, WriteRequest, page_of};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    DisableIssuerRequest, DisableIssuerResponse, IssuerSettings as WireSettings, ListIssuersRequest,
    ListIssuersResponse, RegisterIssuerRequest, RegisterIssuerResponse, UpdateIssuerRequest, UpdateIssuerResponse,
};
use serde_json::json;
use uuid::Uuid;

use super::permission::{MANAGE_ISSUERS, READ_ISSUERS};
use super::recording::{About, ISSUER_KIND, announce, record, with_reason};
use crate::digests::Digest;
use crate::domain::issuer::{ClientAuthentication, FederatedIssuer, IssuerSettings, Secret, flaws, shared};
use crate::domain::record::RecordKind;
use crate::domain::session::SessionEnd;
use crate::error::{IdentityError, registration_refused};
use crate::identity::{Identity, parse_id, resource_id};
use crate::store::federation::SealedSecret;
use crate::{store, wire};

const REGISTER: &str = "/egov.identity.v1.FederationService/RegisterIssuer";
const UPDATE: &str = "/egov.identity.v1.FederationService/UpdateIssuer";
const DISABLE: &str = "/egov.identity.v1.FederationService/DisableIssuer";
const LIST: &str = "/egov.identity.v1.FederationService/ListIssuers";

/// For what the secret of a client is sealed.
pub(crate) fn sealed_for(issuer_id: Uuid) -> Vec<u8> {
    [b"egov.identity.client_secret".as_slice(), issuer_id.as_bytes()].concat()
}

/// What was said of an issuer with its secret taken out: the secret itself, and what may be stored of the request to recognise its
/// repetition, which is a plain hash against which a secret could be guessed.
fn apart(settings: Option<WireSettings>, digest: impl Fn(&str) -> Digest) -> (String, WireSettings, WireSettings) {
    let mut settings = settings.unwrap_or_default();
    let secret = std::mem::take(&mut settings.client_secret);
    let comparable = WireSettings {
        client_secret: if secret.is_empty() {
            String::new()
        } else {
            format!("{:?}", digest(&secret))
        },
        ..settings.clone()
    };
    (secret, settings, comparable)
}

/// Registers an issuer. It may impersonate the staff of its units, so this is an act for the whole province.
pub(crate) async fn register_issuer(
    identity: &Identity,
    caller: &Caller,
    request: RegisterIssuerRequest,
) -> Result<RegisterIssuerResponse, Fault> {
    caller.require(MANAGE_ISSUERS, &Resource::default())?;
    let request_id = parse_id(&request.request_id)?;
    let digest = |secret: &str| identity.digests.client_secret(&request.request_id, secret);
    let (secret, settings, comparable) = apart(request.settings, digest);
    let settings = wire::issuer_settings_of(settings);
    let given = Secret {
        given: !secret.is_empty(),
        stored: false,
    };
    accept(identity, Some(&request.issuer), &settings, given)?;
    let comparable = RegisterIssuerRequest {
        request_id: request.request_id,
        issuer: request.issuer.clone(),
        settings: Some(comparable),
    };
    let write = WriteRequest::by(caller, MANAGE_ISSUERS, REGISTER, request_id, &comparable);
    identity
        .database
        .write(write, async |write| {
            check_redirect_uris(write, &request.issuer, &settings).await?;
            check_units(write, &settings).await?;
            let issuer = FederatedIssuer {
                issuer_id: write.new_id(),
                issuer: request.issuer.clone(),
                settings: settings.clone(),
                disabled: false,
                version: 1,
            };
            let sealed = given.given.then(|| seal(identity, issuer.issuer_id, &secret));
            let now = write.now();
            if !store::federation::insert_issuer(write.conn(), &issuer, sealed.as_ref(), now).await? {
                return Err(Fault::from(IdentityError::IssuerTaken));
            }
            let answer = written(write, caller, &issuer, Change::Registered, "").await?;
            Ok(RegisterIssuerResponse { issuer: Some(answer) })
        })
        .await
        .map(egov_database::Written::into_answer)
}

/// Replaces what was said of an issuer. If it may do less than before, what began by it ends.
pub(crate) async fn update_issuer(
    identity: &Identity,
    caller: &Caller,
    request: UpdateIssuerRequest,
) -> Result<UpdateIssuerResponse, Fault> {
    caller.require(MANAGE_ISSUERS, &Resource::default())?;
    let request_id = parse_id(&request.request_id)?;
    let issuer_id = resource_id(&request.issuer_id, IdentityError::IssuerNotFound)?;
    let digest = |secret: &str| identity.digests.client_secret(&request.request_id, secret);
    let (secret, settings, comparable) = apart(request.settings, digest);
    let settings = wire::issuer_settings_of(settings);
    let comparable = UpdateIssuerRequest {
        settings: Some(comparable),
        request_id: request.request_id,
        issuer_id: request.issuer_id,
        etag: request.etag.clone(),
    };
    let write = WriteRequest::by(caller, MANAGE_ISSUERS, UPDATE, request_id, &comparable);
    let written = identity
        .database
        .write(write, async |write| {
            let mut issuer = locked(write, issuer_id, &request.etag).await?;
            if issuer.disabled {
                return Err(Fault::from(IdentityError::IssuerDisabled));
            }
            let stored = store::federation::sealed_secret(write.conn(), issuer_id).await?;
            let given = Secret {
                given: !secret.is_empty(),
                stored: stored.is_some(),
            };
            accept(identity, None, &settings, given)?;
            check_redirect_uris(write, &issuer.issuer, &settings).await?;
            check_units(write, &settings).await?;
            let sealed = if settings.authentication != ClientAuthentication::ClientSecret {
                None
            } else if given.given {
                Some(seal(identity, issuer_id, &secret))
            } else {
                stored
            };
            let tree = identity.directory.tree().load_full();
            let narrowed = issuer.settings.narrowed_by(&settings, &tree);
            issuer.settings = settings.clone();
            issuer.version += 1;
            let now = write.now();
            store::federation::update_issuer(write.conn(), &issuer, sealed.as_ref(), now).await?;
            let answer = written(write, caller, &issuer, Change::Changed, "").await?;
            if narrowed {
                end_begun_by(write, issuer_id, None).await?;
            }
            Ok(UpdateIssuerResponse { issuer: Some(answer) })
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}

/// Ends sign-in by an issuer, and what began by it. Disabling twice is disabling once.
pub(crate) async fn disable_issuer(
    identity: &Identity,
    caller: &Caller,
    request: &DisableIssuerRequest,
) -> Result<DisableIssuerResponse, Fault> {
    caller.require(MANAGE_ISSUERS, &Resource::default())?;
    let request_id = parse_id(&request.request_id)?;
    let issuer_id = resource_id(&request.issuer_id, IdentityError::IssuerNotFound)?;
    let write = WriteRequest::by(caller, MANAGE_ISSUERS, DISABLE, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            let mut issuer = locked(write, issuer_id, &request.etag).await?;
            issuer.disabled = true;
            issuer.version += 1;
            let now = write.now();
            let secret = store::federation::sealed_secret(write.conn(), issuer_id).await?;
            store::federation::update_issuer(write.conn(), &issuer, secret.as_ref(), now).await?;
            let answer = written(write, caller, &issuer, Change::Disabled, &request.reason).await?;
            end_begun_by(write, issuer_id, None).await?;
            Ok::<_, Fault>(DisableIssuerResponse { issuer: Some(answer) })
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}

/// Ends the sessions that began by an issuer, of one account or of all, and voids their tokens.
pub(crate) async fn end_begun_by(
    write: &mut UnitOfWork<'_>,
    issuer_id: Uuid,
    account_id: Option<Uuid>,
) -> Result<(), Fault> {
    let now = write.now();
    let why = SessionEnd::IssuerGone;
    let ended = store::federation::end_begun_by(write.conn(), issuer_id, account_id, why, now).await?;
    store::revocations::append_sessions(write.conn(), &ended, now, Identity::revocation_expiry(now)).await
}

/// An issuer that may speak for a unit in the caller's scope.
pub(crate) async fn get_issuer(
    identity: &Identity,
    caller: &Caller,
    issuer_id: &str,
) -> Result<FederatedIssuer, Fault> {
    let issuer_id = resource_id(issuer_id, IdentityError::IssuerNotFound)?;
    let scope = caller.scope(READ_ISSUERS);
    let seen = seen_units(identity, caller);
    identity
        .database
        .read(&scope, async |conn| {
            store::federation::issuer(conn, issuer_id)
                .await?
                .filter(|issuer| {
                    let shown = |units: &Vec<i32>| issuer.settings.unit_ids.iter().any(|unit| units.contains(unit));
                    seen.as_ref().is_none_or(shown)
                })
                .ok_or_else(|| IdentityError::IssuerNotFound.into())
        })
        .await
}

/// The issuers that may speak for a unit in the caller's scope, by id.
pub(crate) async fn list_issuers(
    identity: &Identity,
    caller: &Caller,
    request: ListIssuersRequest,
) -> Result<ListIssuersResponse, Fault> {
    let page: Page<Uuid> = page_of!(identity.pages, caller, LIST, request)?;
    let scope = caller.scope(READ_ISSUERS);
    let seen = seen_units(identity, caller);
    let rows = identity
        .database
        .read(&scope, async |conn| {
            store::federation::list_issuers(conn, seen.as_deref(), page.after().copied(), page.fetch()).await
        })
        .await?;
    let (issuers, next_page_token) = page.finish(rows, |issuer| issuer.issuer_id)?;
    Ok(ListIssuersResponse {
        issuers: issuers.iter().map(wire::federated_issuer).collect(),
        next_page_token,
    })
}

/// The units by which a caller sees an issuer: those in scope, and those above them, since an issuer of the province speaks for
/// the staff of a commune too. None for whoever sees everything.
fn seen_units(identity: &Identity, caller: &Caller) -> Option<Vec<i32>> {
    let scope = caller.scope(READ_ISSUERS);
    if scope.all {
        return None;
    }
    let tree = identity.directory.tree().load_full();
    let reaches = |unit: i32| {
        let below = tree.subtree(unit);
        scope.units.iter().any(|own| below.binary_search(own).is_ok())
    };
    Some(tree.units().filter(|&unit| reaches(unit)).collect())
}

/// Refuses a registration that breaks rules; every one is named.
fn accept(identity: &Identity, issuer: Option<&str>, settings: &IssuerSettings, secret: Secret) -> Result<(), Fault> {
    let found = flaws(issuer, settings, secret, identity.settings.federation.allow_loopback);
    if found.is_empty() {
        Ok(())
    } else {
        Err(registration_refused(found))
    }
}

/// Refuses an address that another issuer has: an answer that arrives there could be of either.
async fn check_redirect_uris(write: &mut UnitOfWork<'_>, issuer: &str, settings: &IssuerSettings) -> Result<(), Fault> {
    store::federation::hold_redirect_uris(write.conn()).await?;
    let taken = store::federation::redirect_uris_of_others(write.conn(), issuer, &settings.redirect_uris).await?;
    let found = shared(settings, &taken);
    if found.is_empty() {
        Ok(())
    } else {
        Err(registration_refused(found))
    }
}

async fn check_units(write: &mut UnitOfWork<'_>, settings: &IssuerSettings) -> Result<(), Fault> {
    let today = write.today();
    let units = store::units::by_ids(write.conn(), &settings.unit_ids).await?;
    let in_force = |id: &i32| units.iter().any(|unit| unit.unit_id == *id && unit.in_force(today));
    if settings.unit_ids.iter().all(in_force) {
        Ok(())
    } else {
        Err(IdentityError::UnitNotFound.into())
    }
}

fn seal(identity: &Identity, issuer_id: Uuid, secret: &str) -> SealedSecret {
    let (sealed, key_id) = identity.sealer().seal(secret.as_bytes(), &sealed_for(issuer_id));
    SealedSecret { sealed, key_id }
}

async fn locked(write: &mut UnitOfWork<'_>, issuer_id: Uuid, etag: &str) -> Result<FederatedIssuer, Fault> {
    let issuer = store::federation::lock_issuer(write.conn(), issuer_id)
        .await?
        .ok_or(IdentityError::IssuerNotFound)?;
    if issuer.version.to_string() != etag {
        return Err(IdentityError::StaleEtag.into());
    }
    Ok(issuer)
}

#[derive(Clone, Copy)]
enum Change {
    Registered,
    Changed,
    Disabled,
}

/// History, record, event and leaf of a change.
async fn written(
    write: &mut UnitOfWork<'_>,
    caller: &Caller,
    issuer: &FederatedIssuer,
    change: Change,
    reason: &str,
) -> Result<egov_proto::egov::identity::v1::FederatedIssuer, Fault> {
    let now = write.now();
    let actor = caller.principal.subject;
    store::federation::insert_issuer_history(write.conn(), issuer, actor, reason, now).await?;
    let (kind, event) = match change {
        Change::Registered => (RecordKind::IssuerRegistered, "issuer_registered"),
        Change::Changed => (RecordKind::IssuerChanged, "issuer_changed"),
        Change::Disabled => (RecordKind::IssuerDisabled, "issuer_disabled"),
    };
    let about = About {
        subject: Some(issuer.issuer_id),
        unit: None,
        actor: Some(actor),
    };
    record(write, kind, about, with_reason(issuer.issuer.clone(), reason)).await?;
    let became = wire::federated_issuer(issuer);
    announce(
        write,
        (ISSUER_KIND, issuer.issuer_id, issuer.version),
        event,
        json!({ "units": issuer.settings.unit_ids }),
        &became,
    );
    Ok(became)
}
