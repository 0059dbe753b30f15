//! Accounts of staff (tài khoản cán bộ, công chức).

use jiff::Timestamp;
use uuid::Uuid;

use super::role::RoleGrant;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Account {
    /// Id: the subject of its tokens.
    pub account_id: Uuid,
    /// Tên đăng nhập, in its canonical form.
    pub username: String,
    /// Họ và tên.
    pub full_name: String,
    /// The unit the person belongs to.
    pub unit_id: i32,
    /// When it was closed.
    pub disabled_time: Option<Timestamp>,
    /// Locked by failed sign-ins until then.
    pub locked_until: Option<Timestamp>,
    /// Roles, past and present.
    pub roles: Vec<RoleGrant>,
    /// Grows with every change.
    pub version: i64,
}

/// The canonical form of a typed user name: without surrounding space, lower case.
pub(crate) fn canonical_username(typed: &str) -> String {
    typed.trim().to_lowercase()
}

/// Whether a name in its canonical form can be a user name: what the contract says of `CreateAccountRequest.username`.
pub(crate) fn is_username(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=100).contains(&name.len())
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || matches!(c, '.' | '_' | '-'))
}

/// What a sign-in needs to know of an account.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// Whose.
    pub account_id: Uuid,
    /// The unit the person belongs to.
    pub unit_id: i32,
    /// True if the account was closed.
    pub disabled: bool,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// Secret of the one-time codes, sealed with the keyring.
    pub totp_secret: Vec<u8>,
    /// The latest step of which a code was used.
    pub totp_last_step: i64,
    /// The key under which failed sign-ins of its name are counted.
    pub attempt_key: Vec<u8>,
}
