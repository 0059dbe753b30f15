//! Whatever comes as a token is taken apart or refused; nothing of it stops the process.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::token::UnverifiedToken;
use proptest::prelude::*;

fn look_at(token: &str) {
    if let Ok(parsed) = UnverifiedToken::parse(token) {
        let _ = (
            parsed.key_id(),
            parsed.claimed_issuer(),
            parsed.expect_type(&["at+jwt"]),
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_taken_apart_or_refused(text in "\\PC{0,200}") {
        look_at(&text);
    }

    #[test]
    fn any_three_parts_are_taken_apart_or_refused(
        header in proptest::collection::vec(any::<u8>(), 0..80),
        payload in proptest::collection::vec(any::<u8>(), 0..80),
        signature in "[A-Za-z0-9_-]{0,90}",
    ) {
        let (header, payload) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        look_at(&format!("{header}.{payload}.{signature}"));
    }

    #[test]
    fn only_algorithms_of_the_list_get_past_the_header(
        alg in prop_oneof![Just("ES256".to_owned()), Just("EdDSA".to_owned()), "[A-Za-z0-9]{0,8}"],
        kid in "\\PC{0,20}",
        iss in "\\PC{0,20}",
    ) {
        let header = serde_json::json!({ "alg": alg, "kid": kid, "typ": "at+jwt" });
        let payload = serde_json::json!({ "iss": iss });
        let token = format!(
            "{}.{}.AAAA",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(payload.to_string())
        );
        let parsed = UnverifiedToken::parse(&token);
        prop_assert_eq!(parsed.is_ok(), alg == "ES256" || alg == "EdDSA");
        if let Ok(parsed) = parsed {
            prop_assert_eq!(parsed.key_id(), Some(kid.as_str()));
            prop_assert_eq!(parsed.claimed_issuer().unwrap(), iss);
        }
    }
}
