//! RotateSigningKey: a new key signs tokens.

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_keyring::Purpose;
use egov_proto::egov::identity::v1::{RotateSigningKeyRequest, RotateSigningKeyResponse};

use super::permission::MANAGE_KEYS;
use super::recording::{About, record};
use crate::config::signed;
use crate::domain::record::RecordKind;
use crate::identity::{Identity, parse_id};

const METHOD: &str = "/egov.identity.v1.KeyService/RotateSigningKey";

/// Makes a new signing key. It is published at once and signs a little later; the old one verifies until every token that
/// it signed has ended ([`crate::tokens::TokenIssuer`]).
pub(crate) async fn rotate_signing_key(
    identity: &Identity,
    caller: &Caller,
    request: &RotateSigningKeyRequest,
) -> Result<RotateSigningKeyResponse, Fault> {
    caller.require(MANAGE_KEYS, &Resource::default())?;
    let request_id = parse_id(&request.request_id)?;
    let write = WriteRequest::by(caller, MANAGE_KEYS, METHOD, request_id, request);
    identity
        .database
        .write(write, async |write| {
            // The keyring is a folder, not a table. If this transaction does not commit, there is one key more than needed,
            // which does no harm; the repetition makes another.
            let keyring = egov_keyring::Keyring::clone(&identity.keyring);
            let clock = egov_clock::SharedClock::clone(&identity.clock);
            let overlap = signed(identity.settings.tokens.key_overlap);
            let key_id = tokio::task::spawn_blocking(move || keyring.rotate(Purpose::TokenSigning, overlap, &clock))
                .await
                .map_err(Fault::internal)?
                .map_err(Fault::internal)?;
            // The issuer notices it now, not with the first token.
            identity.tokens.signing_key_id(write.now());
            let about = About {
                subject: Some(caller.principal.subject),
                unit: caller.principal.unit,
                actor: None,
            };
            let detail = format!("key {key_id}");
            record(write, RecordKind::SigningKeyRotated, about, detail).await?;
            Ok(RotateSigningKeyResponse { key_id })
        })
        .await
        .map(egov_database::Written::into_answer)
}
