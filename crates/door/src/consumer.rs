//! Who calls: a system, by its token, bound to the certificate of its connection.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::{CallerKind, Principal, Revocations, TokenRefusal, Verifier, bearer_token};
use egov_fault::Fault;
use egov_runtime::server::client_certificate;
use http::{Extensions, HeaderMap};
use uuid::Uuid;

use crate::refusal::{Refusal, refusal};

/// A system that has proved who it is.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its client id.
    pub client_id: String,
    /// Its account.
    pub account: Uuid,
    /// The citizen for whom it acts.
    pub on_behalf_of: Option<Uuid>,
    /// SHA-256 over the certificate of its connection, if it showed one.
    pub certificate: Option<[u8; 32]>,
    /// The caller of the token; none if the certificate alone is the proof.
    principal: Option<Arc<Principal>>,
}

impl Consumer {
    /// A system that has proved itself by the certificate of its connection alone: the caller has seen that it is registered for
    /// the system and valid. Its account is not known here; `system_id` stands for it. Whether the certificate still counts, the
    /// agreement's own list says, again and again.
    pub fn by_certificate(client_id: String, system_id: Uuid, certificate: [u8; 32]) -> Self {
        Self {
            client_id,
            account: system_id,
            on_behalf_of: None,
            certificate: Some(certificate),
            principal: None,
        }
    }

    /// Notes in the extensions of a request, which nothing from outside reaches, that this consumer makes it: for a request
    /// that is made of another one, by which the consumer has proved itself.
    pub fn known_in(self, extensions: &mut Extensions) {
        extensions.insert(Known(self));
    }
}

/// Who makes a request, as whoever made it of another one has noted.
#[derive(Clone)]
struct Known(Consumer);

/// Verifies tokens and their binding.
#[derive(Clone)]
pub struct Authenticator {
    verifier: Arc<Verifier>,
    revocations: Arc<Revocations>,
    certificate_required: bool,
}

impl Authenticator {
    /// By these keys and revocations. Where `certificate_required`, nobody comes without a client certificate.
    pub fn new(verifier: Arc<Verifier>, revocations: Arc<Revocations>, certificate_required: bool) -> Self {
        Self {
            verifier,
            revocations,
            certificate_required,
        }
    }

    /// Who calls, by the headers and the connection of a request.
    ///
    /// A token that is bound to a certificate (RFC 8705) is worth nothing on a connection that did not show it. Whether the
    /// certificate belongs to the system, the agreement's own list says, when the passage is looked for. Whoever is noted by
    /// [`Consumer::known_in`] has shown all that already.
    pub async fn consumer(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Consumer, Fault> {
        if let Some(Known(consumer)) = extensions.get() {
            return Ok(consumer.clone());
        }
        let token = bearer_token(headers)?.ok_or(TokenRefusal::Missing)?;
        let principal = self.verifier.verify(token).await?;
        if self.revocations.is_revoked(&principal) {
            return Err(TokenRefusal::Revoked.into());
        }
        let certificate = client_certificate(extensions);
        if !bound(&principal, certificate, self.certificate_required) {
            return Err(refusal(Refusal::CertificateNotBound));
        }
        match (principal.kind, &principal.client_id) {
            (CallerKind::System, Some(client_id)) => Ok(Consumer {
                client_id: client_id.clone(),
                account: principal.subject,
                on_behalf_of: principal.on_behalf_of.map(|citizen| citizen.subject),
                certificate,
                principal: Some(Arc::clone(&principal)),
            }),
            _ => Err(refusal(Refusal::NotASystem)),
        }
    }
}

impl Authenticator {
    /// Whether the token of a call that is under way was revoked. That it ends by itself ends no stream.
    pub(crate) fn is_revoked(&self, consumer: &Consumer) -> bool {
        consumer
            .principal
            .as_ref()
            .is_some_and(|principal| self.revocations.is_revoked(principal))
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("certificate_required", &self.certificate_required)
            .finish_non_exhaustive()
    }
}

/// Whether the connection's certificate is the one that the token asks for.
fn bound(principal: &Principal, certificate: Option<[u8; 32]>, required: bool) -> bool {
    match (&principal.certificate, certificate) {
        (Some(wanted), Some(shown)) => *wanted == URL_SAFE_NO_PAD.encode(shown),
        (Some(_), None) => false,
        (None, Some(_)) => true,
        (None, None) => !required,
    }
}
