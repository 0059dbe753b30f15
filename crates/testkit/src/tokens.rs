//! Tokens of a test issuer.

use egov_auth::{
    ACCESS_TOKEN_TYPE, ActorClaim, Assurance, CallerKind, DelegatedClaim, IssuerConfig, KeySourceConfig, RoleClaim,
    TokenClaims,
};
use egov_clock::{Ids as _, SeededIds, SharedClock};
use egov_keyring::{Keyring, Purpose};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::{clock, ids};

/// The `iss` of the test issuer.
pub const TOKEN_ISSUER: &str = "https://issuer.test";

/// The `aud` of its tokens.
pub const TOKEN_AUDIENCE: &str = "egov";

/// How long its tokens live: as long as those of the identity service.
pub const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// A local issuer with a key of its own, which signs exactly the claims that the platform's verifier reads.
///
/// Its tokens count from the present of its clock for [`TOKEN_LIFETIME`].
pub struct Tokens {
    keyring: Keyring,
    clock: SharedClock,
    ids: SeededIds,
}

impl Tokens {
    /// An issuer by the clock of tests, which stands at [`crate::START`].
    pub fn new() -> Self {
        Self::by(clock().shared())
    }

    /// An issuer by `clock`: the one that the service under test has.
    pub fn by(clock: SharedClock) -> Self {
        Self {
            keyring: Keyring::ephemeral(),
            clock,
            ids: ids(),
        }
    }

    /// The configuration under which a verifier accepts these tokens: the public keys stand in it.
    #[expect(clippy::panic, reason = "our own keys are sound")]
    pub fn issuer(&self) -> IssuerConfig {
        let keys = self.keyring.jwks(Purpose::TokenSigning);
        match serde_json::from_value(keys) {
            Ok(keys) => IssuerConfig::new(TOKEN_ISSUER, TOKEN_AUDIENCE, KeySourceConfig::Jwks(keys)),
            Err(error) => panic!("the test issuer's keys are no JWK set: {error}"),
        }
    }

    /// A token of an official who holds `roles`, each at a unit (0 is the whole province). The account belongs to the
    /// unit of its first role.
    pub fn staff(&self, subject: Uuid, roles: &[(&str, i32)]) -> String {
        self.sign(&TokenClaims {
            roles: role_claims(roles),
            unit: roles.first().map(|(_, unit)| *unit),
            ..self.claims(CallerKind::Staff, subject)
        })
    }

    /// A token of an official who holds no role, and acts for `delegator` with one at a unit.
    pub fn by_delegation(&self, subject: Uuid, delegator: Uuid, role: &str, unit: i32) -> String {
        self.sign(&TokenClaims {
            dlg: vec![DelegatedClaim {
                role: role.to_owned(),
                unit,
                by: delegator,
            }],
            unit: Some(unit),
            ..self.claims(CallerKind::Staff, subject)
        })
    }

    /// A token of a citizen with an electronic identity of that level.
    pub fn citizen(&self, subject: Uuid, assurance: Assurance) -> String {
        self.sign(&TokenClaims {
            acr: assurance,
            ..self.claims(CallerKind::Citizen, subject)
        })
    }

    /// A token of a system that acts for itself.
    pub fn system(&self, system: Uuid, roles: &[(&str, i32)]) -> String {
        self.sign(&TokenClaims {
            roles: role_claims(roles),
            ..self.claims(CallerKind::System, system)
        })
    }

    /// A token of a system that acts for a citizen with an electronic identity of that level.
    pub fn on_behalf(&self, system: Uuid, roles: &[(&str, i32)], citizen: Uuid, assurance: Assurance) -> String {
        self.sign(&TokenClaims {
            roles: role_claims(roles),
            acr: assurance,
            act: Some(ActorClaim { sub: system }),
            ..self.claims(CallerKind::System, citizen)
        })
    }

    /// The claims of a caller without roles, to be changed and [signed](Tokens::sign).
    pub fn claims(&self, kind: CallerKind, subject: Uuid) -> TokenClaims {
        let now = self.clock.now();
        let end = now.checked_add(TOKEN_LIFETIME).unwrap_or(now);
        TokenClaims {
            iss: TOKEN_ISSUER.to_owned(),
            sub: subject,
            aud: TOKEN_AUDIENCE.into(),
            exp: end.as_second(),
            nbf: Some(now.as_second()),
            iat: now.as_second(),
            jti: self.ids.uuid().to_string(),
            kind,
            roles: Vec::new(),
            dlg: Vec::new(),
            unit: None,
            acr: Assurance::None,
            sid: None,
            act: None,
            client_id: None,
            cnf: None,
            name: None,
        }
    }

    /// Signs claims as they are, whatever they say.
    #[expect(clippy::panic, reason = "an ephemeral key signs any claims")]
    pub fn sign(&self, claims: &TokenClaims) -> String {
        match self
            .keyring
            .signing(Purpose::TokenSigning)
            .jwt(ACCESS_TOKEN_TYPE, claims)
        {
            Ok(token) => token,
            Err(error) => panic!("the test issuer cannot sign: {error}"),
        }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

fn role_claims(roles: &[(&str, i32)]) -> Vec<RoleClaim> {
    roles
        .iter()
        .map(|(role, unit)| RoleClaim {
            role: (*role).to_owned(),
            unit: *unit,
        })
        .collect()
}
