//! VerifyTotp: the one-time code, and the session that it opens.

use egov_database::UnitOfWork;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::TokenPair;

use super::issuing::{Opened, open_session};
use super::sign_in::{count, record_refusal};
use crate::domain::account::Credential;
use crate::domain::secret::{self, SecretHash, SecretKind};
use crate::domain::totp;
use crate::error::IdentityError;
use crate::identity::{Identity, nobody_yet};
use crate::store;

/// For what a secret of one-time codes is sealed.
pub(crate) fn sealed_for(account_id: uuid::Uuid) -> Vec<u8> {
    [b"egov.identity.totp".as_slice(), account_id.as_bytes()].concat()
}

/// Checks the code and gives the first pair of tokens of a new session.
///
/// A wrong code counts as a failed sign-in of the name: knowing the password buys no more guesses than not knowing it. The
/// challenge stays until it is answered or runs out, so that a mistyped digit does not cost the password again.
pub(crate) async fn verify_totp(
    identity: &Identity,
    challenge: &str,
    code: &str,
    client_hint: &str,
) -> Result<TokenPair, Fault> {
    let hash = secret::hash(SecretKind::Challenge, challenge);
    // What is refused is recorded, and therefore committed: a refusal is a value in here.
    let outcome = identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            answer(identity, write, &hash, code, client_hint).await
        })
        .await?;
    outcome.map_err(Fault::from)
}

async fn answer(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    hash: &SecretHash,
    code: &str,
    client_hint: &str,
) -> Result<Result<TokenPair, IdentityError>, Fault> {
    let now = write.now();
    // A challenge is 256 bits of chance: a wrong one is no guess at anybody's account.
    let Some((account_id, issuer_id)) = store::sessions::lock_challenge(write.conn(), hash, now).await? else {
        return Ok(Err(IdentityError::SignInRefused));
    };
    let Some(credential) = store::credentials::by_account(write.conn(), account_id).await? else {
        return Ok(Err(IdentityError::SignInRefused));
    };
    let begun = count(identity, write, &credential.attempt_key).await?;
    if !takes(identity, write, &credential, code).await? {
        record_refusal(write, &begun, Some(&credential), "wrong code").await?;
        return Ok(Err(IdentityError::SignInRefused));
    }
    store::sessions::use_challenge(write.conn(), hash, now).await?;
    store::attempts::clear(write.conn(), &credential.attempt_key).await?;

    let who = Opened {
        account_id,
        unit_id: credential.unit_id,
        issuer_id,
    };
    open_session(identity, write, who, client_hint).await.map(Ok)
}

/// Whether the code is right and was not used before; it is used up by this.
async fn takes(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    credential: &Credential,
    code: &str,
) -> Result<bool, Fault> {
    if credential.disabled {
        return Ok(false);
    }
    let account_id = credential.account_id;
    let secret = identity
        .sealer()
        .open(&credential.totp_secret, &sealed_for(account_id))?;
    match totp::matching_step(&secret, code, write.now(), credential.totp_last_step) {
        Some(step) => store::credentials::use_step(write.conn(), account_id, step).await,
        None => Ok(false),
    }
}
