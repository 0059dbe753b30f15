//! Opaque secrets that are handed out once and kept only as a hash: refresh tokens, sign-in challenges, states of a sign-in at an issuer.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_clock::Ids;

/// A hash under which a secret is stored.
pub(crate) type SecretHash = [u8; 32];

/// A new secret: 32 random bytes, base64url. With 256 bits of chance a plain SHA-256 is enough to store it; the slow
/// hash is for what people think up.
pub(crate) fn new_secret(ids: &dyn Ids) -> String {
    let mut bytes = [0_u8; 32];
    ids.random_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The hash under which a secret is stored. `kind` keeps the kinds apart: a challenge is never a refresh token.
pub(crate) fn hash(kind: SecretKind, secret: &str) -> SecretHash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(kind.label());
    context.update(secret.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretKind {
    /// Carries a session on.
    RefreshToken,
    /// Names a sign-in between the password and the one-time code.
    Challenge,
    /// Names a sign-in at an issuer; travels through the browser's address.
    State,
    /// Ties a sign-in at an issuer to the browser that began it.
    Binding,
}

impl SecretKind {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::RefreshToken => b"egov.identity.refresh_token\0",
            Self::Challenge => b"egov.identity.challenge\0",
            Self::State => b"egov.identity.state\0",
            Self::Binding => b"egov.identity.binding\0",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_clock::SeededIds;

    #[test]
    fn secrets_are_distinct_and_one_kind_is_not_another() {
        let ids = SeededIds::new(1);
        let (first, second) = (new_secret(&ids), new_secret(&ids));
        assert_ne!(first, second);
        assert_eq!(first.len(), 43);
        assert_ne!(
            hash(SecretKind::RefreshToken, &first),
            hash(SecretKind::Challenge, &first)
        );
        assert_eq!(hash(SecretKind::Challenge, &first), hash(SecretKind::Challenge, &first));
    }
}
