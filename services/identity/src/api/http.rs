//! The HTTP endpoints of OAuth 2.0 beside gRPC: token, keys, metadata.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_keyring::Purpose;
use egov_runtime::server::client_certificate;
use http::{Extensions, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::domain::oauth::{GRANTS, OAuthError, SIGNING_ALGORITHMS, TOKEN_TYPE_ACCESS, TokenRefusal, TokenRequest};
use crate::identity::Identity;
use crate::operations::token_grants::{self, Granted};

/// The token endpoint (RFC 6749).
pub(crate) const TOKEN_PATH: &str = "/oauth2/token";
/// The public keys of tokens (RFC 7517).
pub(crate) const KEYS_PATH: &str = "/.well-known/jwks.json";
/// The public keys with which this platform proves at issuers of agencies that it is their client.
pub(crate) const CLIENT_KEYS_PATH: &str = "/.well-known/federation-jwks.json";
/// The metadata (RFC 8414).
pub(crate) const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// Published keys may be kept for this many seconds; a new key is published well before it signs.
const KEYS_MAX_AGE: &str = "public, max-age=30";

/// The routes.
pub(crate) fn routes(identity: Arc<Identity>) -> Router {
    let mut router = Router::new();
    // An issuer whose name has a path has its metadata under that path (RFC 8414, section 3.1).
    let path = path_of(&identity.settings.tokens.issuer);
    if !path.is_empty() {
        router = router.route(&format!("{METADATA_PATH}{path}"), get(metadata));
    }
    router
        .route(TOKEN_PATH, post(token))
        .route(KEYS_PATH, get(keys))
        .route(CLIENT_KEYS_PATH, get(client_keys))
        .route(METADATA_PATH, get(metadata))
        .with_state(identity)
}

/// The path of an issuer's name, without a slash at its end; empty if it has none that a route can carry.
fn path_of(issuer: &str) -> String {
    issuer
        .parse::<http::Uri>()
        .map(|uri| uri.path().trim_end_matches('/').to_owned())
        .ok()
        .filter(|path| !path.contains(['{', '}', '*']))
        .unwrap_or_default()
}

async fn token(
    State(identity): State<Arc<Identity>>,
    extensions: Extensions,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    let outcome = match form {
        Ok(Form(pairs)) => answer(&identity, &extensions, pairs).await,
        Err(_) => Err(TokenRefusal::new(
            OAuthError::InvalidRequest,
            "the request is not application/x-www-form-urlencoded",
        )),
    };
    let mut response = match outcome {
        Ok(granted) => Json(granted_json(&granted)).into_response(),
        Err(refusal) => refusal_response(&refusal),
    };
    // RFC 6749, section 5.1: whatever the answer, nobody keeps it.
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer(
    identity: &Identity,
    extensions: &Extensions,
    pairs: Vec<(String, String)>,
) -> Result<Granted, TokenRefusal> {
    let mut request = TokenRequest::from_pairs(pairs)?;
    request.certificate = client_certificate(extensions).map(|hash| URL_SAFE_NO_PAD.encode(hash));
    token_grants::grant(identity, &request)
        .await
        .map_err(token_grants::Refused::into_refusal)
}

fn granted_json(granted: &Granted) -> Value {
    let mut body = json!({
        "access_token": granted.access.token,
        "token_type": "Bearer",
        "expires_in": granted.access.expires_in,
    });
    if granted.exchanged
        && let Some(body) = body.as_object_mut()
    {
        body.insert("issued_token_type".to_owned(), json!(TOKEN_TYPE_ACCESS));
    }
    body
}

fn refusal_response(refusal: &TokenRefusal) -> Response {
    let status = StatusCode::from_u16(refusal.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({
        "error": refusal.error.code(),
        "error_description": refusal.description,
    });
    (status, Json(body)).into_response()
}

async fn keys(State(identity): State<Arc<Identity>>) -> Response {
    (
        [(header::CACHE_CONTROL, KEYS_MAX_AGE)],
        Json(identity.keyring.jwks(Purpose::TokenSigning)),
    )
        .into_response()
}

async fn client_keys(State(identity): State<Arc<Identity>>) -> Response {
    (
        [(header::CACHE_CONTROL, KEYS_MAX_AGE)],
        Json(identity.keyring.jwks(Purpose::ClientAssertions)),
    )
        .into_response()
}

async fn metadata(State(identity): State<Arc<Identity>>) -> Json<Value> {
    Json(json!({
        "issuer": identity.settings.tokens.issuer,
        "token_endpoint": identity.token_endpoint(),
        "jwks_uri": format!("{}{KEYS_PATH}", identity.public_url()),
        "grant_types_supported": GRANTS,
        // There is no authorization endpoint; the field is required all the same (RFC 8414, section 2).
        "response_types_supported": [],
        // `none` for the assertion of a citizen, which needs no client.
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
        "token_endpoint_auth_signing_alg_values_supported": SIGNING_ALGORITHMS,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_issuer_with_a_path_has_a_second_place_for_its_metadata() {
        assert_eq!(path_of("https://id.example"), "");
        assert_eq!(path_of("https://id.example/"), "");
        assert_eq!(path_of("https://example/identity/"), "/identity");
        assert_eq!(path_of("not a url"), "");
        assert_eq!(path_of("https://example/{x}"), "");
    }
}
