//! RotateSigningKey: a new key signs tokens, or serves another purpose.

use std::sync::Arc;

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1::{RotateSigningKeyRequest, RotateSigningKeyResponse};

use super::keys::{Done, note};
use super::permission::MANAGE_KEYS;
use crate::config::signed;
use crate::domain::key::overlap;
use crate::domain::record::RecordKind;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id};
use crate::wire;

const METHOD: &str = "/egov.identity.v1.KeyService/RotateSigningKey";

/// Makes a new key. One of tokens is published at once and signs a little later; the old one verifies until every token that
/// it signed has ended ([`crate::tokens::TokenIssuer`]).
pub(crate) async fn rotate_signing_key(
    identity: &Identity,
    caller: &Caller,
    request: &RotateSigningKeyRequest,
) -> Result<RotateSigningKeyResponse, Fault> {
    caller.require(MANAGE_KEYS, &Resource::default())?;
    let request_id = parse_id(&request.request_id)?;
    let purpose = wire::key_purpose(request.purpose()).unwrap_or(Purpose::TokenSigning);
    let overlap =
        overlap(purpose, signed(identity.settings.tokens.key_overlap)).ok_or(IdentityError::KeyNotRotatable)?;
    let write = WriteRequest::by(caller, MANAGE_KEYS, METHOD, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            // The keyring is a folder, not a table. If this transaction does not commit, there is one key more than needed,
            // which does no harm; the repetition makes another.
            let keyring = Keyring::clone(&identity.keyring);
            let clock = Arc::clone(&identity.clock);
            let key_id = tokio::task::spawn_blocking(move || keyring.rotate(purpose, overlap, &clock))
                .await
                .map_err(Fault::internal)?
                .map_err(Fault::internal)?;
            let done = Done {
                act: "rotated",
                kind: RecordKind::SigningKeyRotated,
                event: "signing_key_rotated",
                purpose,
                key_id: &key_id,
                reason: "",
            };
            note(identity, caller, write, &done).await?;
            Ok::<_, Fault>(RotateSigningKeyResponse { key_id })
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}
