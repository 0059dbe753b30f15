//! The token endpoint and its metadata.

use egov_auth::{Assurance, CallerKind};
use egov_clock::Clock as _;
use serde_json::{Value, json};

use crate::support::{ISSUER, Signer, WARD, World};

const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

async fn client_credentials(world: &World, assertion: &str) -> (u16, Value) {
    world
        .token(&[
            ("grant_type", "client_credentials"),
            ("client_assertion_type", CLIENT_ASSERTION),
            ("client_assertion", assertion),
        ])
        .await
}

async fn citizen(world: &World, assertion: &str) -> (u16, Value) {
    world
        .token(&[("grant_type", JWT_BEARER), ("assertion", assertion)])
        .await
}

async fn exchange(world: &World, client: &str, subject: &str) -> (u16, Value) {
    world
        .token(&[
            ("grant_type", EXCHANGE),
            ("client_assertion_type", CLIENT_ASSERTION),
            ("client_assertion", client),
            ("subject_token", subject),
            ("subject_token_type", JWT),
        ])
        .await
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn error(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_system_gets_a_token_with_its_own_key() {
    let world = World::start().await;
    let (system_id, key) = world.system("cong-quoc-gia", false).await;
    let (status, body) = client_credentials(&world, &key.sign(&world.client_claims("cong-quoc-gia"))).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 300);
    assert!(body.get("refresh_token").is_none());
    let principal = world.verified(body["access_token"].as_str().unwrap()).await;
    assert_eq!((principal.kind, principal.subject), (CallerKind::System, system_id));
    assert_eq!(principal.client_id.as_deref(), Some("cong-quoc-gia"));
    assert_eq!(principal.certificate, None);
    assert_eq!(principal.roles[0].role, "one_stop_clerk");
    assert_eq!(principal.roles[0].unit, WARD);
    assert_eq!(principal.on_behalf_of, None);
}

#[tokio::test]
async fn an_assertion_is_believed_once_also_when_it_is_sent_twice_at_the_same_moment() {
    let world = World::start().await;
    let (_, key) = world.system("cong-quoc-gia", false).await;
    let assertion = key.sign(&world.client_claims("cong-quoc-gia"));
    let (one, two) = tokio::join!(
        client_credentials(&world, &assertion),
        client_credentials(&world, &assertion)
    );
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    let again = client_credentials(&world, &assertion).await;
    assert_eq!(error(&again), (401, "invalid_client"));
    assert_eq!(again.1["error_description"], "the assertion was used before");
    // The ids of one issuer are not those of another.
    let (_, other_key) = world.system("he-thong-khac", false).await;
    let same_id = |client: &str| with(world.client_claims(client), "jti", json!("one and the same"));
    for (client, key) in [("cong-quoc-gia", &key), ("he-thong-khac", &other_key)] {
        let answer = client_credentials(&world, &key.sign(&same_id(client))).await;
        assert_eq!(answer.0, 200, "{}", answer.1);
    }
}

#[tokio::test]
async fn a_client_that_cannot_prove_who_it_is_gets_nothing() {
    let world = World::start().await;
    let (_, key) = world.system("cong-quoc-gia", false).await;
    let claims = || world.client_claims("cong-quoc-gia");
    let now = world.clock.now().as_second();
    let none = {
        let signed = key.sign(&claims());
        let body = signed.split('.').nth(1).unwrap();
        // {"alg":"none"}
        format!("eyJhbGciOiJub25lIn0.{body}.")
    };
    for (assertion, description) in [
        (Signer::new().sign(&claims()), "client authentication failed"),
        (
            key.sign(&world.client_claims("khong-co")),
            "client authentication failed",
        ),
        (
            key.confused(&claims()),
            "the algorithm of the token is not accepted or does not belong to its key",
        ),
        (
            none,
            "the algorithm of the token is not accepted or does not belong to its key",
        ),
        (
            key.sign(&with(claims(), "aud", json!("https://other.test"))),
            "the token was issued for another audience",
        ),
        (
            key.sign(&with(claims(), "exp", json!(now - 31))),
            "the token has expired",
        ),
        (
            key.sign(&with(claims(), "sub", json!("he-thong-khac"))),
            "the subject of the assertion is not accepted",
        ),
        (
            key.sign(&with(claims(), "jti", json!(""))),
            "the assertion has no usable jti",
        ),
    ] {
        let answer = client_credentials(&world, &assertion).await;
        assert_eq!(error(&answer).0, 401, "{description}");
        let told = answer.1["error_description"].as_str().unwrap();
        assert!(
            told == description || told == "client authentication failed",
            "{told}, not {description}"
        );
        assert_eq!(answer.1["error"], "invalid_client");
    }
    let answer = world.token(&[("grant_type", "client_credentials")]).await;
    assert_eq!(error(&answer), (401, "invalid_client"));
    let signed = key.sign(&claims());
    let answer = world
        .token(&[
            ("grant_type", "client_credentials"),
            ("client_id", "he-thong-khac"),
            ("client_assertion_type", CLIENT_ASSERTION),
            ("client_assertion", &signed),
        ])
        .await;
    assert_eq!(error(&answer), (401, "invalid_client"));
}

#[tokio::test]
async fn a_citizen_gets_a_token_by_the_word_of_a_trusted_issuer() {
    let world = World::start().await;
    let token = |claims: Value| {
        let assertion = world.eid.sign(&claims);
        let world = &world;
        async move {
            let (status, body) = citizen(world, &assertion).await;
            assert_eq!(status, 200, "{body}");
            world.verified(body["access_token"].as_str().unwrap()).await
        }
    };
    let first = token(world.citizen_claims("citizen-7")).await;
    assert_eq!(first.kind, CallerKind::Citizen);
    assert_eq!(first.assurance, Assurance::Substantial);
    assert!(first.roles.is_empty() && first.unit.is_none());
    let again = token(with(world.citizen_claims("citizen-7"), "acr", json!("low"))).await;
    assert_eq!(again.subject, first.subject, "the same person");
    assert_eq!(again.assurance, Assurance::Low);
    let other = token(world.citizen_claims("citizen-8")).await;
    assert_ne!(other.subject, first.subject);
    let odd = token(with(world.citizen_claims("citizen-8"), "acr", json!("very high"))).await;
    assert_eq!(odd.assurance, Assurance::None, "a word that nobody explained");
}

#[tokio::test]
async fn the_personal_number_makes_one_person_of_two_names_and_is_never_in_the_clear() {
    let world = World::start().await;
    let claims = |subject: &str, number: Value| with(world.citizen_claims(subject), "personal_number", number);
    let subject_of = |claims: Value| {
        let assertion = world.eid.sign(&claims);
        let world = &world;
        async move {
            let (status, body) = citizen(world, &assertion).await;
            assert_eq!(status, 200, "{body}");
            world.verified(body["access_token"].as_str().unwrap()).await.subject
        }
    };
    let without = subject_of(world.citizen_claims("a")).await;
    let number = json!("040190000123");
    assert_eq!(subject_of(claims("a", number.clone())).await, without);
    assert_eq!(subject_of(claims("b", number.clone())).await, without);
    assert_ne!(subject_of(claims("c", json!("040190000124"))).await, without);

    for (wrong, description) in [
        (
            claims("a", json!("040190000999")),
            "the personal number of the subject has changed",
        ),
        (
            claims("d", json!("12345")),
            "the personal number has not the form of one",
        ),
    ] {
        let answer = citizen(&world, &world.eid.sign(&wrong)).await;
        assert_eq!(error(&answer), (400, "invalid_grant"));
        assert_eq!(answer.1["error_description"], description);
    }
    let mut sql = world.sql().await;
    let stored: Vec<String> = sqlx::query_scalar(
        "SELECT encode(personal_number, 'escape') || coalesce(encode(personal_number_digest, 'escape'), '')
         FROM citizens",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|row| !row.contains("0401900001")));
}

#[tokio::test]
async fn two_first_sign_ins_of_one_person_at_the_same_moment_make_one_citizen() {
    let world = World::start().await;
    let mut all = Vec::new();
    for subject in ["a", "a", "b", "b"] {
        let claims = with(world.citizen_claims(subject), "personal_number", json!("040190000123"));
        let assertion = world.eid.sign(&claims);
        let world = &world;
        all.push(async move { citizen(world, &assertion).await });
    }
    let [a, b, c, d] = <[_; 4]>::try_from(all).ok().unwrap();
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    assert_eq!([a.0, b.0, c.0, d.0], [200; 4]);
    let citizens: i64 = sqlx::query_scalar("SELECT count(*) FROM citizens")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(citizens, 1);
}

#[tokio::test]
async fn an_assertion_about_a_citizen_that_is_not_believed_gives_nothing() {
    let world = World::start().await;
    let claims = || world.citizen_claims("citizen-7");
    let now = world.clock.now().as_second();
    let spoken = world.eid.sign(&claims());
    assert_eq!(citizen(&world, &spoken).await.0, 200);
    let access_token = {
        let (_, body) = citizen(&world, &world.eid.sign(&claims())).await;
        body["access_token"].as_str().unwrap().to_owned()
    };
    for assertion in [
        // Said before.
        spoken,
        // Said by somebody else, in the issuer's name or in the own.
        Signer::new().sign(&claims()),
        world.eid.sign(&with(claims(), "iss", json!("https://other.test"))),
        // Said with a confused algorithm.
        world.eid.confused(&claims()),
        // Said to somebody else, too long ago, or for too long.
        world.eid.sign(&with(claims(), "aud", json!("https://other.test"))),
        world.eid.sign(&with(claims(), "exp", json!(now - 31))),
        world.eid.sign(&with(claims(), "iat", json!(now - 331))),
        // Not an assertion but an access token of ours.
        access_token,
        "not a token".to_owned(),
    ] {
        let answer = citizen(&world, &assertion).await;
        assert_eq!(error(&answer), (400, "invalid_grant"), "{}", answer.1);
    }
    let answer = world.token(&[("grant_type", JWT_BEARER)]).await;
    assert_eq!(error(&answer), (400, "invalid_request"));
}

#[tokio::test]
async fn a_system_that_may_acts_for_a_citizen_and_one_that_may_not_does_not() {
    let world = World::start().await;
    let (portal, portal_key) = world.system("cong-quoc-gia", true).await;
    let (_, other_key) = world.system("he-thong-khac", false).await;
    let subject = || world.eid.sign(&world.citizen_claims("citizen-7"));

    let (status, body) = exchange(
        &world,
        &portal_key.sign(&world.client_claims("cong-quoc-gia")),
        &subject(),
    )
    .await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body["issued_token_type"],
        "urn:ietf:params:oauth:token-type:access_token"
    );
    let principal = world.verified(body["access_token"].as_str().unwrap()).await;
    assert_eq!((principal.kind, principal.subject), (CallerKind::System, portal));
    assert_eq!(principal.client_id.as_deref(), Some("cong-quoc-gia"));
    assert_eq!(principal.certificate, None);
    assert_eq!(principal.roles[0].role, "one_stop_clerk");
    let behalf = principal.on_behalf_of.unwrap();
    assert_eq!(behalf.assurance, Assurance::Substantial);
    // The citizen is the one whom the issuer calls so when it comes by itself.
    let (_, alone) = citizen(&world, &subject()).await;
    let alone = world.verified(alone["access_token"].as_str().unwrap()).await;
    assert_eq!(behalf.subject, alone.subject);

    let answer = exchange(
        &world,
        &other_key.sign(&world.client_claims("he-thong-khac")),
        &subject(),
    )
    .await;
    assert_eq!(error(&answer), (400, "unauthorized_client"));
    // A citizen's word is taken once, whichever way.
    let spoken = subject();
    assert_eq!(citizen(&world, &spoken).await.0, 200);
    let answer = exchange(&world, &portal_key.sign(&world.client_claims("cong-quoc-gia")), &spoken).await;
    assert_eq!(error(&answer), (400, "invalid_grant"));
}

#[tokio::test]
async fn an_exchange_with_wrong_parameters_says_which() {
    let world = World::start().await;
    let (_, key) = world.system("cong-quoc-gia", true).await;
    let subject = world.eid.sign(&world.citizen_claims("citizen-7"));
    for (extra, code) in [
        (
            ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2"),
            "invalid_request",
        ),
        (
            ("requested_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            "invalid_request",
        ),
        (("actor_token", "x"), "invalid_request"),
        (("audience", "https://other.test"), "invalid_target"),
        (("subject_token", ""), "invalid_request"),
    ] {
        let client = key.sign(&world.client_claims("cong-quoc-gia"));
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("client_assertion_type", CLIENT_ASSERTION),
            ("client_assertion", client.as_str()),
            ("subject_token", subject.as_str()),
            ("subject_token_type", JWT),
        ];
        form.retain(|(name, _)| *name != extra.0);
        form.push(extra);
        let answer = world.token(&form).await;
        assert_eq!(error(&answer), (400, code), "{}", extra.0);
    }
}

#[tokio::test]
async fn what_is_no_token_request_is_refused_in_the_words_of_the_rfc() {
    let world = World::start().await;
    let answer = world.token(&[]).await;
    assert_eq!(error(&answer), (400, "invalid_request"));
    let answer = world.token(&[("grant_type", "password")]).await;
    assert_eq!(error(&answer), (400, "unsupported_grant_type"));
    let answer = world
        .token(&[("grant_type", "password"), ("grant_type", "password")])
        .await;
    assert_eq!(error(&answer), (400, "invalid_request"));
    let json = world
        .http
        .post(format!("{}/oauth2/token", world.address))
        .header("content-type", "application/json")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(json.status().as_u16(), 400);
    let body: Value = json.json().await.unwrap();
    assert_eq!(body["error"], "invalid_request");
    let get = world
        .http
        .get(format!("{}/oauth2/token", world.address))
        .send()
        .await
        .unwrap();
    assert_eq!(get.status().as_u16(), 405);
}

#[tokio::test]
async fn the_metadata_agrees_with_the_endpoints() {
    let world = World::start().await;
    let get = |path: String| {
        let http = world.http.clone();
        let url = format!("{}{path}", world.address);
        async move {
            let answer = http.get(url).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            answer.json::<Value>().await.unwrap()
        }
    };
    let metadata = get("/.well-known/oauth-authorization-server".to_owned()).await;
    assert_eq!(metadata["issuer"], ISSUER);
    let path_of = |name: &str| {
        metadata[name]
            .as_str()
            .unwrap()
            .strip_prefix(ISSUER)
            .unwrap()
            .to_owned()
    };
    // The keys that it names are those that sign.
    let keys = get(path_of("jwks_uri")).await;
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys).unwrap();
    let (_, key) = world.system("cong-quoc-gia", true).await;
    let (_, body) = client_credentials(&world, &key.sign(&world.client_claims("cong-quoc-gia"))).await;
    let header = jsonwebtoken::decode_header(body["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    assert!(keys.find(&header.kid.unwrap()).is_some());
    // Every grant that it names is served, at the place that it names.
    assert_eq!(path_of("token_endpoint"), "/oauth2/token");
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    assert_eq!(grants.len(), 3);
    for grant in grants {
        let answer = world.token(&[("grant_type", grant.as_str().unwrap())]).await;
        assert_ne!(error(&answer).1, "unsupported_grant_type", "{grant}");
    }
    assert_eq!(
        metadata["token_endpoint_auth_signing_alg_values_supported"],
        json!(["ES256", "EdDSA"])
    );
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        json!(["private_key_jwt", "none"])
    );
    assert_eq!(metadata["response_types_supported"], json!([]));
}
