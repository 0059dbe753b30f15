//! CreateAccount: an account with its first password and the secret of its one-time codes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::{Caller, Resource};
use egov_codes::normal_name;
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{CreateAccountRequest, CreateAccountResponse};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::permission::MANAGE_ACCOUNTS;
use super::recording::{About, announce_account, record};
use super::verify_totp::sealed_for;
use crate::domain::account::canonical_username;
use crate::domain::record::RecordKind;
use crate::domain::totp;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id};
use crate::store::accounts::NewAccount;
use crate::store::credentials::NewCredential;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccountService/CreateAccount";

/// Makes an account at a unit that the caller administers.
pub(crate) async fn create_account(
    identity: &Identity,
    caller: &Caller,
    request: CreateAccountRequest,
) -> Result<CreateAccountResponse, Fault> {
    caller.require(MANAGE_ACCOUNTS, &Resource::of_unit(request.unit_id))?;
    let request_id = parse_id(&request.request_id)?;
    let password = SecretString::from(request.password.clone());
    let password_hash = identity.passwords.hash(password).await?;
    let digest = identity.digests.password(&request.request_id, &request.password);
    // What is stored to recognise a repetition is a plain hash of the request: no password may be in it.
    let comparable = CreateAccountRequest {
        password: URL_SAFE_NO_PAD.encode(digest),
        ..request.clone()
    };
    let write = WriteRequest::by(caller, MANAGE_ACCOUNTS, METHOD, request_id, &comparable);
    let username = canonical_username(&request.username);
    let full_name = normal_name(&request.full_name);
    let new = Person {
        username: &username,
        full_name: &full_name,
        unit_id: request.unit_id,
        password_hash: &password_hash,
        totp_secret: None,
    };
    identity
        .database
        .write(write, async |write| {
            let made = make(identity, write, &new, Some(caller.principal.subject)).await?;
            let account = store::accounts::get(write.conn(), &caller.scope(MANAGE_ACCOUNTS), made.account_id)
                .await?
                .ok_or_else(|| Fault::internal("the new account is out of scope"))?;
            let account = wire::account(&account);
            announce_account(
                write,
                (made.account_id, 1),
                "account_created",
                json!({ "unit": request.unit_id }),
                &account,
            );
            Ok(CreateAccountResponse {
                account: Some(account),
                totp_secret: totp::base32(&made.totp_secret),
            })
        })
        .await
        .map(egov_database::Written::into_answer)
}

/// Who gets an account.
pub(crate) struct Person<'a> {
    pub(crate) username: &'a str,
    pub(crate) full_name: &'a str,
    pub(crate) unit_id: i32,
    pub(crate) password_hash: &'a str,
    /// A given secret of one-time codes; a new one is made otherwise.
    pub(crate) totp_secret: Option<&'a [u8]>,
}

pub(crate) struct Made {
    pub(crate) account_id: Uuid,
    pub(crate) totp_secret: Vec<u8>,
}

/// Writes an account, its secrets and the record of it.
pub(crate) async fn make(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    person: &Person<'_>,
    actor: Option<Uuid>,
) -> Result<Made, Fault> {
    let (now, today) = (write.now(), write.today());
    store::units::by_id(write.conn(), person.unit_id)
        .await?
        .filter(|unit| unit.in_force(today))
        .ok_or(IdentityError::UnitNotFound)?;
    let who = (person.username, person.full_name, person.unit_id);
    let Some(Enrolled { account_id }) = enrol(identity, write, who, actor).await? else {
        return Err(IdentityError::UsernameTaken.into());
    };
    let totp_secret = match person.totp_secret {
        Some(given) => given.to_vec(),
        None => {
            let mut fresh = vec![0_u8; totp::SECRET_BYTES];
            identity.database.ids().random_bytes(&mut fresh);
            fresh
        }
    };
    let (sealed, seal_key_id) = identity.sealer().seal(&totp_secret, &sealed_for(account_id));
    store::credentials::insert(
        write.conn(),
        NewCredential {
            account_id,
            password_hash: person.password_hash,
            totp_secret: &sealed,
            seal_key_id: &seal_key_id,
            now,
        },
    )
    .await?;
    Ok(Made {
        account_id,
        totp_secret,
    })
}

/// An account that nobody can sign in to yet.
pub(crate) struct Enrolled {
    pub(crate) account_id: Uuid,
}

/// Writes an account (user name, name, unit) without any secret, and the record of it; none if the name is taken.
pub(crate) async fn enrol(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    (username, full_name, unit_id): (&str, &str, i32),
    actor: Option<Uuid>,
) -> Result<Option<Enrolled>, Fault> {
    let account_id = write.new_id();
    let attempt_key = identity.digests.attempt_key(username);
    let new = NewAccount {
        account_id,
        username,
        full_name,
        unit_id,
        attempt_key: &attempt_key,
        now: write.now(),
    };
    if !store::accounts::insert(write.conn(), new).await? {
        return Ok(None);
    }
    let about = About {
        subject: Some(account_id),
        unit: Some(unit_id),
        actor,
    };
    record(write, RecordKind::AccountCreated, about, "").await?;
    Ok(Some(Enrolled { account_id }))
}
