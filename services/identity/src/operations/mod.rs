//! The use cases, one a file: authorise, load, let the domain decide, write, commit.

pub(crate) mod activate;
pub(crate) mod apply_reorganisations;
pub mod bootstrap;
pub(crate) mod cancel_reorganisation;
pub(crate) mod change_role_end;
pub(crate) mod citizens;
pub(crate) mod client_auth;
pub(crate) mod confirm_grant;
pub(crate) mod create_account;
pub(crate) mod create_accounts;
pub(crate) mod delegate_role;
pub(crate) mod delegating;
pub(crate) mod disable_account;
pub(crate) mod disable_accounts;
pub(crate) mod disable_system;
pub(crate) mod end_delegation;
pub(crate) mod end_role;
pub(crate) mod exchange_token;
pub(crate) mod federated_sign_in;
pub(crate) mod grant_role;
pub(crate) mod granting;
pub(crate) mod issuers;
pub(crate) mod issuing;
pub(crate) mod keys;
pub(crate) mod link_identity;
pub(crate) mod list_reorganisations;
pub(crate) mod plan_reorganisation;
pub(crate) mod read_access;
pub(crate) mod read_accounts;
pub(crate) mod read_systems;
pub(crate) mod read_units;
pub mod rebuild_leaves;
pub(crate) mod recording;
pub(crate) mod refresh_tokens;
pub(crate) mod register_system;
pub(crate) mod review_access;
pub(crate) mod revoke_all_tokens;
pub(crate) mod revoke_tokens;
pub(crate) mod rotate_signing_key;
pub(crate) mod sessions;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod token_grants;
pub(crate) mod unlock_account;
pub(crate) mod verify_totp;
pub(crate) mod withdraw_signing_key;

/// The permissions of the contract that operations ask for themselves, beyond what stands before the method.
pub(crate) mod permission {
    /// Reading accounts.
    pub(crate) const READ_ACCOUNTS: &str = "identity.accounts.read";
    /// Making, closing and unlocking accounts.
    pub(crate) const MANAGE_ACCOUNTS: &str = "identity.accounts.manage";
    /// Giving and ending roles.
    pub(crate) const MANAGE_ROLES: &str = "identity.roles.manage";
    /// Reading at which units roles are held, without by whom.
    pub(crate) const READ_ROLE_UNITS: &str = "identity.role_units.read";
    /// Reviewing who has what where.
    pub(crate) const REVIEW_ACCESS: &str = "identity.access.review";
    /// Reading systems.
    pub(crate) const READ_SYSTEMS: &str = "identity.systems.read";
    /// Registering and closing systems.
    pub(crate) const MANAGE_SYSTEMS: &str = "identity.systems.manage";
    /// Planning and cancelling reorganisations.
    pub(crate) const REORGANISE: &str = "identity.units.reorganise";
    /// Reading issuers of agencies.
    pub(crate) const READ_ISSUERS: &str = "identity.issuers.read";
    /// Registering, changing and disabling them.
    pub(crate) const MANAGE_ISSUERS: &str = "identity.issuers.manage";
    /// Rotating and withdrawing keys, and revoking the tokens of everybody.
    pub(crate) const MANAGE_KEYS: &str = "identity.keys.manage";
}
