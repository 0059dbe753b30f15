//! WithdrawSigningKey: a compromised key of tokens is taken out of use.

use std::sync::Arc;

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1::{WithdrawSigningKeyRequest, WithdrawSigningKeyResponse};

use super::keys::{Done, WITHDRAWN, lives, note};
use super::permission::MANAGE_KEYS;
use crate::domain::record::RecordKind;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id};
use crate::store;

const METHOD: &str = "/egov.identity.v1.KeyService/WithdrawSigningKey";

/// Withdraws a key (thu hồi khoá bị lộ). A key whose overlap has ended can be withdrawn too: whoever keeps published keys through an
/// outage may still believe it.
pub(crate) async fn withdraw_signing_key(
    identity: &Identity,
    caller: &Caller,
    request: &WithdrawSigningKeyRequest,
) -> Result<WithdrawSigningKeyResponse, Fault> {
    caller.require(MANAGE_KEYS, &Resource::default())?;
    let request_id = parse_id(&request.request_id)?;
    let key_id = request.key_id.as_str();
    let write = WriteRequest::by(caller, MANAGE_KEYS, METHOD, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            let known = lives(&identity.keyring, Purpose::TokenSigning).await?;
            if !known.iter().any(|life| life.id == key_id) {
                return Err(IdentityError::KeyNotFound.into());
            }
            // First the row: of two administrators the second waits here, and is told.
            let now = write.now();
            if !store::keys::note_withdrawn(write.conn(), key_id, now).await? {
                return Err(IdentityError::KeyAlreadyWithdrawn.into());
            }
            // Then the keyring, which is no table. If this process is killed before the commit, the key is out of use all the
            // same, here and by the feed everywhere; what is missing is the record, and the repetition writes it.
            let keyring = Keyring::clone(&identity.keyring);
            let clock = Arc::clone(&identity.clock);
            let stolen = key_id.to_owned();
            let made = tokio::task::spawn_blocking(move || keyring.withdraw(Purpose::TokenSigning, &stolen, &clock))
                .await
                .map_err(Fault::internal)?
                .map_err(Fault::internal)?;
            let done = Done {
                act: WITHDRAWN,
                kind: RecordKind::SigningKeyWithdrawn,
                event: "signing_key_withdrawn",
                purpose: Purpose::TokenSigning,
                key_id,
                reason: &request.reason,
            };
            let signing_key_id = note(identity, caller, write, &done).await?;
            Ok::<_, Fault>(WithdrawSigningKeyResponse {
                signing_key_id,
                key_made: made.is_some(),
            })
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}
