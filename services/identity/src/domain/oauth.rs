//! The words of OAuth 2.0 at the token endpoint: grants, parameters, refusals.

/// RFC 6749, section 4.4: a system for itself.
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";
/// RFC 7523, section 2.1: a citizen by the assertion of a trusted issuer.
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// RFC 8693: a system for a citizen.
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 7523, section 2.2: how a system proves who it is.
pub(crate) const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// RFC 8693, section 3: a token that is a JWT.
pub(crate) const TOKEN_TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// RFC 8693, section 3: an access token.
pub(crate) const TOKEN_TYPE_ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The grants that the token endpoint knows; its metadata lists exactly these.
pub(crate) const GRANTS: [&str; 3] = [CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE];

/// The algorithms with which assertions may be signed.
pub(crate) const SIGNING_ALGORITHMS: [&str; 2] = ["ES256", "EdDSA"];

/// The error codes of RFC 6749, section 5.2, and RFC 8693, section 2.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OAuthError {
    /// A parameter is missing, doubled or wrong.
    InvalidRequest,
    /// The client did not prove who it is.
    InvalidClient,
    /// The assertion or the subject token is not believed.
    InvalidGrant,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// There is no such grant here.
    UnsupportedGrantType,
    /// The wanted audience is not served here.
    InvalidTarget,
    /// Failed inside; try again.
    TemporarilyUnavailable,
    /// Failed inside.
    ServerError,
}

impl OAuthError {
    /// The code as it stands in the answer.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidTarget => "invalid_target",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    /// The HTTP status of the answer.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::InvalidClient => 401,
            Self::TemporarilyUnavailable => 503,
            Self::ServerError => 500,
            _ => 400,
        }
    }
}

/// A refusal of the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRefusal {
    /// The code.
    pub error: OAuthError,
    /// A sentence for the developer of the client; no secrets, no personal data.
    pub description: String,
}

impl TokenRefusal {
    /// A refusal with its sentence.
    pub(crate) fn new(error: OAuthError, description: impl Into<String>) -> Self {
        Self {
            error,
            description: description.into(),
        }
    }
}

/// The parameters of a token request, each at most once. Empty values count as absent (RFC 6749, section 3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    /// `grant_type`
    pub grant_type: Option<String>,
    /// `client_id`; must agree with the client assertion if given.
    pub client_id: Option<String>,
    /// `client_assertion_type`
    pub client_assertion_type: Option<String>,
    /// `client_assertion`
    pub client_assertion: Option<String>,
    /// `assertion` (RFC 7523)
    pub assertion: Option<String>,
    /// `subject_token` (RFC 8693)
    pub subject_token: Option<String>,
    /// `subject_token_type`
    pub subject_token_type: Option<String>,
    /// `requested_token_type`
    pub requested_token_type: Option<String>,
    /// `actor_token`: refused, the actor is the authenticated client itself.
    pub actor_token: Option<String>,
    /// `audience`
    pub audience: Option<String>,
    /// No parameter: SHA-256 of the client certificate of the connection, base64url.
    pub certificate: Option<String>,
}

impl TokenRequest {
    /// Reads decoded form parameters. A parameter that comes twice is refused; unknown ones are ignored, as the RFC says.
    pub(crate) fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, TokenRefusal> {
        let mut request = Self::default();
        for (name, value) in pairs {
            let place = match name.as_str() {
                "grant_type" => &mut request.grant_type,
                "client_id" => &mut request.client_id,
                "client_assertion_type" => &mut request.client_assertion_type,
                "client_assertion" => &mut request.client_assertion,
                "assertion" => &mut request.assertion,
                "subject_token" => &mut request.subject_token,
                "subject_token_type" => &mut request.subject_token_type,
                "requested_token_type" => &mut request.requested_token_type,
                "actor_token" => &mut request.actor_token,
                "audience" => &mut request.audience,
                _ => continue,
            };
            if value.is_empty() {
                continue;
            }
            if place.replace(value).is_some() {
                return Err(TokenRefusal::new(
                    OAuthError::InvalidRequest,
                    format!("parameter {name} occurs twice"),
                ));
            }
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_parameter_that_comes_twice_is_refused_and_an_unknown_one_is_ignored() {
        let twice = TokenRequest::from_pairs(pairs(&[("grant_type", "a"), ("grant_type", "b")]));
        assert_eq!(twice.unwrap_err().error, OAuthError::InvalidRequest);
        let unknown = TokenRequest::from_pairs(pairs(&[("color", "red"), ("color", "blue")]));
        assert_eq!(unknown, Ok(TokenRequest::default()));
    }

    #[test]
    fn an_empty_value_counts_as_absent() {
        let request = TokenRequest::from_pairs(pairs(&[("audience", "")])).unwrap();
        assert_eq!(request.audience, None);
    }
}
