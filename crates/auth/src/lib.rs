//! Who is calling, and what may they do.
//!
//! From a token to a decision, for any tower service, gRPC or plain HTTP:
//!
//! * [`Verifier`] makes a [`Principal`] of a JWT: signature (ES256, EdDSA, by the key, never by the header), type, issuer,
//!   audience and times by our clock; keys by JWKS, rotated, kept through an outage; verified tokens remembered.
//! * [`Revocations`] knows what was revoked before its time, and how recent that knowledge is.
//! * [`Policies`] are text: roles, and grants of permissions over units and under conditions. [`Access`] answers
//!   ([`Access::decide`]) whether a caller may do something to a row, with reasons, and ([`Access::row_scope`]) which rows
//!   a list may show. Both come from one walk over the grants, so they cannot disagree.
//! * [`AuthLayer`] stands before the methods and puts the [`Caller`] into the request's extensions.
//! * [`ReadRecorder`] records who read whose personal data, before it leaves.
//!
//! What a request goes through is written at [`AuthLayer`]; a small complete service stands in
//! `examples/volunteers`. The crate needs no database and knows no contract.
//!
//! ```
//! use std::sync::Arc;
//! use arc_swap::ArcSwap;
//! use egov_auth::{Access, Policies, Unit, UnitTree};
//!
//! let policies = Policies::from_toml(&[("volunteers.toml", r#"
//!     [[role]]
//!     name = "clerk"
//!     title = "Công chức văn phòng"
//!
//!     [[grant]]
//!     role = "clerk"
//!     permissions = ["volunteers.add"]
//!     over = "subtree"
//!     when = []
//! "#)])?;
//! let tree = UnitTree::new(1, [Unit { id: 1, parent: None }, Unit { id: 2, parent: Some(1) }])?;
//! let access = Access::new(policies, Arc::new(ArcSwap::from_pointee(tree)));
//! # let _ = access;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod caller;
mod claims;
mod issuer;
mod layer;
mod policy;
mod principal;
mod reads;
mod refusal;
mod revocations;
mod rules;
mod source;
pub mod token;
mod units;
mod verifier;

pub use access::{Access, Decision, Resource, RowScope};
pub use caller::Caller;
pub use claims::{ACCESS_TOKEN_TYPE, ActorClaim, ConfirmationClaim, DelegatedClaim, RoleClaim, TokenClaims};
pub use issuer::{Issuer, IssuerConfig};
pub use layer::{AuthLayer, AuthService, PURPOSE_HEADER, REASON_HEADER, bearer_token, purpose_of};
pub use policy::{Condition, Grant, Over, Policies, PolicyError, Role, built_in};
pub use principal::{Assurance, CallerKind, DelegatedRole, OnBehalf, Principal, RoleAt, WHOLE_PROVINCE};
pub use reads::{ReadRecord, ReadRecorder, ReadSink};
pub use refusal::TokenRefusal;
pub use revocations::{Revocation, Revocations, Revoked};
pub use rules::MethodRule;
pub use source::{HttpKeySource, KeySource, KeySourceConfig, KeySourceError, StaticKeySource};
pub use token::{AmbiguousKeys, Audience, SignatureAlgorithm, key_set_digest};
pub use units::{Unit, UnitTree, UnitTreeError};
pub use verifier::{Verifier, VerifierConfig};
