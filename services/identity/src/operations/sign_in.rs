//! SignIn: the password.

use egov_database::UnitOfWork;
use egov_fault::Fault;
use secrecy::SecretString;

use super::recording::{About, record};
use crate::domain::account::{Credential, canonical_username};
use crate::domain::lockout::{Attempts, LockoutPolicy};
use crate::domain::record::RecordKind;
use crate::domain::secret::{self, SecretKind};
use crate::error::IdentityError;
use crate::identity::{Identity, nobody_yet};
use crate::passwords::Checked;
use crate::store;

/// Checks the password and gives the challenge for the one-time code.
///
/// Three steps, because no connection is held while the hash is computed: the attempt is counted; the password is compared,
/// with a decoy if no account has the name; the outcome is recorded, and a right password takes its count back.
pub(crate) async fn sign_in(identity: &Identity, username: &str, password: SecretString) -> Result<String, Fault> {
    let username = canonical_username(username);
    let attempt_key = identity.digests.attempt_key(&username);
    let (begun, credential) = identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            let begun = count(identity, write, &attempt_key).await?;
            let credential = store::credentials::by_username(write.conn(), &username).await?;
            Ok::<_, Fault>((begun, credential))
        })
        .await?;

    let stored = credential.as_ref().map(|credential| credential.password_hash.clone());
    let checked = identity.passwords.check(password, stored).await?;

    let right = match (checked, credential) {
        (Checked::Right, Some(credential)) if !credential.disabled => Ok((credential, None)),
        (Checked::RightAndRehashed(better), Some(credential)) if !credential.disabled => Ok((credential, Some(better))),
        (_, credential) => Err(credential),
    };
    match right {
        Ok((credential, better)) => admit(identity, &attempt_key, credential, better).await,
        Err(credential) => refuse(identity, &begun, credential.as_ref()).await,
    }
}

/// Counts an attempt that begins now, or refuses it because the name is locked. A refusal here is not recorded: it would let
/// anybody fill the record at no cost.
pub(crate) async fn count(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    attempt_key: &[u8],
) -> Result<Attempts, Fault> {
    let now = write.now();
    let attempts = store::attempts::lock(write.conn(), attempt_key, now).await?;
    let begun = identity
        .lockout
        .begin(attempts, now)
        .map_err(|locked| IdentityError::locked(locked.until, now))?;
    store::attempts::put(write.conn(), attempt_key, &begun).await?;
    Ok(begun)
}

async fn admit(
    identity: &Identity,
    attempt_key: &[u8],
    credential: Credential,
    better_hash: Option<String>,
) -> Result<String, Fault> {
    let challenge = secret::new_secret(&**identity.database.ids());
    let hash = secret::hash(SecretKind::Challenge, &challenge);
    identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            let now = write.now();
            let attempts = store::attempts::lock(write.conn(), attempt_key, now).await?;
            let attempts = LockoutPolicy::take_back(attempts);
            store::attempts::put(write.conn(), attempt_key, &attempts).await?;
            if let Some(better) = &better_hash {
                store::credentials::set_password_hash(write.conn(), credential.account_id, better, now).await?;
            }
            let expiry = now.checked_add(identity.sessions.challenge).unwrap_or(now);
            store::sessions::insert_challenge(write.conn(), &hash, credential.account_id, expiry, None).await
        })
        .await?;
    Ok(challenge)
}

async fn refuse(identity: &Identity, begun: &Attempts, credential: Option<&Credential>) -> Result<String, Fault> {
    let detail = match credential {
        None => "unknown name",
        Some(credential) if credential.disabled => "account disabled",
        Some(_) => "wrong password",
    };
    identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            record_refusal(write, begun, credential, detail).await
        })
        .await?;
    Err(IdentityError::SignInRefused.into())
}

/// Records a refused attempt, and that it locked the name if it did.
pub(crate) async fn record_refusal(
    write: &mut UnitOfWork<'_>,
    begun: &Attempts,
    credential: Option<&Credential>,
    detail: &str,
) -> Result<(), Fault> {
    let about = About {
        subject: credential.map(|credential| credential.account_id),
        unit: credential.map(|credential| credential.unit_id),
        actor: None,
    };
    record(write, RecordKind::SignInRefused, about, detail).await?;
    if let Some(until) = begun.locked_until {
        let detail = format!("after {} failures, until {until}", begun.failures);
        record(write, RecordKind::Locked, about, detail).await?;
    }
    Ok(())
}
