//! BeginActivation, CompleteActivation, ReissueActivation: a person takes an account into use that somebody else made.

use egov_auth::{Caller, Resource};
use egov_clock::Clock as _;
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    BeginActivationResponse, CompleteActivationRequest, CompleteActivationResponse, ReissueActivationRequest,
    ReissueActivationResponse,
};
use egov_proto::timestamp;
use secrecy::SecretString;
use serde_json::json;

use super::create_accounts::put_code;
use super::permission::{MANAGE_ACCOUNTS, READ_ACCOUNTS};
use super::recording::{About, announce_account, record};
use super::verify_totp::sealed_for;
use crate::digests::Digest;
use crate::domain::record::RecordKind;
use crate::domain::{activation, totp};
use crate::error::IdentityError;
use crate::identity::{Identity, nobody_yet, parse_id, resource_id};
use crate::store::activations::Activation;
use crate::store::credentials::NewCredential;
use crate::{store, wire};

const REISSUE: &str = "/egov.identity.v1.AccountBatchService/ReissueActivation";

/// Shows the owner of a code the secret for the authenticator. The code alone cannot be guessed, so attempts are not counted.
pub(crate) async fn begin(identity: &Identity, typed: &str) -> Result<BeginActivationResponse, Fault> {
    let (_, activation) = known(identity, typed).await?;
    let secret = identity
        .sealer()
        .open(&activation.totp_secret, &sealed_for(activation.account_id))?;
    Ok(BeginActivationResponse {
        username: activation.username,
        totp_secret: totp::base32(&secret),
    })
}

/// Sets the password and uses the code up. The password is hashed only for a code that counts, with no connection held.
pub(crate) async fn complete(
    identity: &Identity,
    request: CompleteActivationRequest,
) -> Result<CompleteActivationResponse, Fault> {
    let (digest, activation) = known(identity, &request.activation_code).await?;
    let secret = identity
        .sealer()
        .open(&activation.totp_secret, &sealed_for(activation.account_id))?;
    let step = totp::matching_step(&secret, &request.totp_code, identity.clock.now(), 0)
        .ok_or(IdentityError::ActivationRefused)?;
    let password_hash = identity.passwords.hash(SecretString::from(request.password)).await?;
    identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            let now = write.now();
            // Once more, now that the row is locked by its removal: of two who complete at once one is refused.
            let Activation {
                account_id,
                username,
                unit_id,
                totp_secret,
            } = store::activations::by_digest(write.conn(), &digest, now)
                .await?
                .ok_or(IdentityError::ActivationRefused)?;
            if !store::activations::take(write.conn(), &digest).await? {
                return Err(IdentityError::ActivationRefused.into());
            }
            let (sealed, seal_key_id) = {
                let sealer = identity.sealer();
                let place = sealed_for(account_id);
                sealer.seal(&sealer.open(&totp_secret, &place)?, &place)
            };
            store::credentials::insert(
                write.conn(),
                NewCredential {
                    account_id,
                    password_hash: &password_hash,
                    totp_secret: &sealed,
                    seal_key_id: &seal_key_id,
                    now,
                },
            )
            .await?;
            // The code that was just shown does not sign in as well.
            store::credentials::use_step(write.conn(), account_id, step).await?;
            let version = store::accounts::touch(write.conn(), account_id, None, now).await?;
            let about = About {
                subject: Some(account_id),
                unit: Some(unit_id),
                actor: None,
            };
            record(write, RecordKind::AccountActivated, about, "").await?;
            let account = store::accounts::get(write.conn(), &nobody_yet(), account_id)
                .await?
                .ok_or(IdentityError::ActivationRefused)?;
            announce_account(
                write,
                (account_id, version),
                "account_activated",
                json!({ "unit": unit_id }),
                &wire::account(&account),
            );
            Ok(CompleteActivationResponse { username })
        })
        .await
}

async fn known(identity: &Identity, typed: &str) -> Result<(Digest, Activation), Fault> {
    let code = activation::canonical(typed).ok_or(IdentityError::ActivationRefused)?;
    let digest = identity.digests.activation(&code);
    let now = identity.clock.now();
    let found = identity
        .database
        .read(&nobody_yet(), async |conn| {
            store::activations::by_digest(conn, &digest, now).await
        })
        .await?;
    Ok((digest, found.ok_or(IdentityError::ActivationRefused)?))
}

/// Another code for an account that nobody has taken into use. It is no way to reset a password: then the account is in use.
pub(crate) async fn reissue(
    identity: &Identity,
    caller: &Caller,
    request: &ReissueActivationRequest,
) -> Result<ReissueActivationResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let account_id = resource_id(&request.account_id, IdentityError::AccountNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, REISSUE, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let account = store::accounts::lock(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            caller.require(MANAGE_ACCOUNTS, &Resource::of_unit(account.unit_id))?;
            if account.disabled_time.is_some() {
                return Err(IdentityError::AccountNotFound.into());
            }
            if store::accounts::is_activated(write.conn(), account_id).await? {
                return Err(IdentityError::AlreadyActivated.into());
            }
            let (activation_code, expire_time) = put_code(identity, write, account_id).await?;
            let about = About {
                subject: Some(account_id),
                unit: Some(account.unit_id),
                actor: Some(caller.principal.subject),
            };
            record(write, RecordKind::ActivationReissued, about, "").await?;
            Ok(ReissueActivationResponse {
                activation_code,
                expire_time: Some(timestamp(expire_time)),
            })
        })
        .await
        .map(egov_database::Written::into_answer)
}
