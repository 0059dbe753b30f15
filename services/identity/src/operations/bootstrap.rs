//! The first accounts and systems, made by the operator and not by a caller: the first administrator, and what `egov up`
//! sets up for trying out. Running it again changes nothing that is there.

use egov_auth::{RowScope, WHOLE_PROVINCE};
use egov_codes::normal_name;
use egov_database::UnitOfWork;
use egov_fault::Fault;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::create_account::{Person, make};
use super::granting::known_role;
use super::recording::{About, announce_account, announce_system, record};
use crate::domain::account::canonical_username;
use crate::domain::client::{self, System, SystemRole};
use crate::domain::record::RecordKind;
use crate::domain::role::{NewGrant, RoleGrant};
use crate::domain::totp;
use crate::error::IdentityError;
use crate::identity::Identity;
use crate::{store, wire};

/// An account that shall exist.
#[derive(Clone, Debug)]
pub struct AccountSpec<'a> {
    /// Tên đăng nhập.
    pub username: &'a str,
    /// Họ và tên.
    pub full_name: &'a str,
    /// The unit the person belongs to, by its internal id.
    pub unit_id: i32,
    /// The first password. Used only if the account is made now.
    pub password: SecretString,
    /// The secret of the one-time codes, 20 bytes; a new one if absent. Used only if the account is made now.
    pub totp_secret: Option<&'a [u8]>,
    /// Roles, each at a unit, from today on. Those that the account does not hold are added; none is ended.
    pub roles: &'a [(&'a str, i32)],
}

/// An account that exists now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsuredAccount {
    /// Its id.
    pub account_id: Uuid,
    /// Whether it was made now.
    pub made: bool,
    /// The secret of the one-time codes (base32), if the account was made now.
    pub totp_secret: Option<String>,
}

/// A system that shall exist, exactly so.
#[derive(Clone, Debug)]
pub struct SystemSpec<'a> {
    /// Its client id.
    pub client_id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its public key (JWK, JSON).
    pub public_jwk: &'a str,
    /// Its roles, each at a unit; 0 is the whole province.
    pub roles: &'a [(&'a str, i32)],
    /// Whether it may act for citizens.
    pub acts_for_citizens: bool,
}

/// A system that exists now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsuredSystem {
    /// Its id.
    pub system_id: Uuid,
    /// Whether it was made now.
    pub made: bool,
    /// Whether it was there and was put right.
    pub changed: bool,
}

/// Makes the account if no account has the name, and adds the roles that it lacks. An existing account keeps its password,
/// name and unit.
///
/// Errors: `ROLE_UNKNOWN`, `UNIT_NOT_FOUND`.
pub async fn ensure_account(identity: &Identity, spec: &AccountSpec<'_>) -> Result<EnsuredAccount, Fault> {
    for (role, _) in spec.roles {
        known_role(identity, role)?;
    }
    let username = canonical_username(spec.username);
    let full_name = normal_name(spec.full_name);
    let everything = RowScope::everything();
    let existing = identity
        .database
        .read(&everything, async |conn| store::accounts::id_of(conn, &username).await)
        .await?;
    // Not while a connection is held, and not for nothing.
    let password_hash = match existing {
        Some(_) => String::new(),
        None => identity.passwords.hash(spec.password.clone()).await?,
    };
    identity
        .database
        .write_unkeyed(&everything, async |write| {
            let (account_id, totp_secret) = match existing {
                Some(account_id) => (account_id, None),
                None => {
                    let person = Person {
                        username: &username,
                        full_name: &full_name,
                        unit_id: spec.unit_id,
                        password_hash: &password_hash,
                        totp_secret: spec.totp_secret,
                    };
                    let made = make(identity, write, &person, None).await?;
                    (made.account_id, Some(totp::base32(&made.totp_secret)))
                }
            };
            let account = store::accounts::lock(write.conn(), &everything, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            let granted = add_roles(write, &account, spec.roles).await?;
            let made = totp_secret.is_some();
            if made || granted {
                let version = if made {
                    account.version
                } else {
                    let now = write.now();
                    store::accounts::touch(write.conn(), account_id, None, now).await?
                };
                let account = store::accounts::get(write.conn(), &everything, account_id)
                    .await?
                    .ok_or(IdentityError::AccountNotFound)?;
                let kind = if made { "account_created" } else { "role_granted" };
                announce_account(
                    write,
                    (account_id, version),
                    kind,
                    json!({ "unit": account.unit_id }),
                    &wire::account(&account),
                );
            }
            Ok(EnsuredAccount {
                account_id,
                made,
                totp_secret,
            })
        })
        .await
}

/// Adds the roles that the account does not hold today; whether there was one.
async fn add_roles(
    write: &mut UnitOfWork<'_>,
    account: &crate::domain::account::Account,
    roles: &[(&str, i32)],
) -> Result<bool, Fault> {
    let (now, today) = (write.now(), write.today());
    let mut added = false;
    for (role, unit_id) in roles {
        let held = account
            .roles
            .iter()
            .any(|grant| grant.role == *role && grant.unit_id == *unit_id && grant.in_force(today));
        if held {
            continue;
        }
        store::units::by_id(write.conn(), *unit_id)
            .await?
            .filter(|unit| unit.in_force(today))
            .ok_or(IdentityError::UnitNotFound)?;
        let grant = RoleGrant {
            grant_id: write.new_id(),
            role: (*role).to_owned(),
            unit_id: *unit_id,
            effective_from: today,
            effective_to: None,
        };
        let new = NewGrant {
            grant,
            account_id: account.account_id,
            granted_by: None,
            grant_time: now,
            reason: String::new(),
        };
        store::roles::insert(write.conn(), &new).await?;
        let about = About {
            subject: Some(account.account_id),
            unit: Some(account.unit_id),
            actor: None,
        };
        let detail = format!("{role} at unit {unit_id} from {today}, by the operator");
        record(write, RecordKind::RoleGranted, about, detail).await?;
        added = true;
    }
    Ok(added)
}

/// Makes the system, or puts it right: name, key, roles, and whether it may act for citizens. A closed system stays closed.
///
/// Errors: `ROLE_UNKNOWN`, `UNIT_NOT_FOUND`, `KEY_REFUSED`.
pub async fn ensure_system(identity: &Identity, spec: &SystemSpec<'_>) -> Result<EnsuredSystem, Fault> {
    let key = client::public_key(spec.public_jwk).map_err(IdentityError::KeyRefused)?;
    for (role, _) in spec.roles {
        known_role(identity, role)?;
    }
    let mut roles: Vec<SystemRole> = spec
        .roles
        .iter()
        .map(|(role, unit_id)| SystemRole {
            role: (*role).to_owned(),
            unit_id: *unit_id,
        })
        .collect();
    // As they are read back.
    roles.sort_by(|a, b| (&a.role, a.unit_id).cmp(&(&b.role, b.unit_id)));
    roles.dedup();
    identity
        .database
        .write_unkeyed(&RowScope::everything(), async |write| {
            let (now, today) = (write.now(), write.today());
            for held in roles.iter().filter(|held| held.unit_id != WHOLE_PROVINCE) {
                store::units::by_id(write.conn(), held.unit_id)
                    .await?
                    .filter(|unit| unit.in_force(today))
                    .ok_or(IdentityError::UnitNotFound)?;
            }
            let known = store::systems::by_client_id(write.conn(), spec.client_id).await?;
            let wanted = System {
                system_id: known
                    .as_ref()
                    .map_or_else(|| write.new_id(), |(system, _)| system.system_id),
                client_id: spec.client_id.to_owned(),
                name: spec.name.to_owned(),
                roles: roles.clone(),
                acts_for_citizens: spec.acts_for_citizens,
                disabled: known.as_ref().is_some_and(|(system, _)| system.disabled),
            };
            let about = About {
                subject: Some(wanted.system_id),
                ..About::default()
            };
            let outcome = match known {
                Some((system, stored)) if system == wanted && stored == key => (false, false),
                Some(_) => {
                    let version = store::systems::update(write.conn(), &wanted, &key, now).await?;
                    announce_system(write, &wanted.client_id, version, "system_changed").await?;
                    (false, true)
                }
                None => {
                    if !store::systems::insert(write.conn(), &wanted, &key, now).await? {
                        return Err(IdentityError::ClientIdTaken.into());
                    }
                    announce_system(write, &wanted.client_id, 1, "system_registered").await?;
                    (true, false)
                }
            };
            if outcome != (false, false) {
                let detail = format!("client {}, by the operator", wanted.client_id);
                record(write, RecordKind::SystemRegistered, about, detail).await?;
            }
            Ok(EnsuredSystem {
                system_id: wanted.system_id,
                made: outcome.0,
                changed: outcome.1,
            })
        })
        .await
}
