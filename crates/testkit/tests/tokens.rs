//! The test issuer's tokens are accepted by the verifier that the services use.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::sync::Arc;

use egov_auth::{Assurance, CallerKind, Issuer, Principal, RoleAt, TokenRefusal, Verifier, VerifierConfig};
use egov_testkit::{ManualClock, TOKEN_LIFETIME, Tokens, clock};
use jiff::SignedDuration;
use uuid::Uuid;

const OFFICIAL: Uuid = Uuid::from_u128(1);
const CITIZEN: Uuid = Uuid::from_u128(2);
const PORTAL: Uuid = Uuid::from_u128(3);

struct Service {
    clock: ManualClock,
    tokens: Tokens,
    verifier: Verifier,
}

impl Service {
    fn new() -> Self {
        let clock = clock();
        let tokens = Tokens::by(clock.shared());
        let issuer = Issuer::from_config(tokens.issuer()).unwrap();
        let verifier = Verifier::new(vec![issuer], clock.shared(), VerifierConfig::default());
        Self {
            clock,
            tokens,
            verifier,
        }
    }

    async fn accepts(&self, token: &str) -> Arc<Principal> {
        self.verifier.verify(token).await.unwrap()
    }
}

#[tokio::test]
async fn an_official_has_the_roles_and_the_unit_that_the_test_gave() {
    let service = Service::new();

    let principal = service
        .accepts(&service.tokens.staff(OFFICIAL, &[("one_stop_clerk", 12), ("leader", 0)]))
        .await;

    assert_eq!((principal.kind, principal.subject), (CallerKind::Staff, OFFICIAL));
    assert_eq!(principal.unit, Some(12));
    assert_eq!(
        principal.roles,
        [
            RoleAt {
                role: "one_stop_clerk".into(),
                unit: 12
            },
            RoleAt {
                role: "leader".into(),
                unit: 0
            },
        ]
    );
}

#[tokio::test]
async fn a_citizen_has_the_level_of_the_electronic_identity() {
    let service = Service::new();

    let principal = service
        .accepts(&service.tokens.citizen(CITIZEN, Assurance::Substantial))
        .await;

    assert_eq!(principal.citizen(), Some((CITIZEN, Assurance::Substantial)));
}

#[tokio::test]
async fn a_system_acts_for_itself_or_for_a_citizen() {
    let service = Service::new();
    let roles = [("national_portal", 0)];

    let alone = service.accepts(&service.tokens.system(PORTAL, &roles)).await;
    let acting = service
        .accepts(&service.tokens.on_behalf(PORTAL, &roles, CITIZEN, Assurance::Low))
        .await;

    assert_eq!((alone.subject, alone.citizen()), (PORTAL, None));
    assert_eq!(
        (acting.subject, acting.citizen()),
        (PORTAL, Some((CITIZEN, Assurance::Low)))
    );
    assert_eq!(acting.roles, alone.roles);
}

#[tokio::test]
async fn a_token_ends_by_the_clock_of_the_test() {
    let service = Service::new();
    let token = service.tokens.citizen(CITIZEN, Assurance::Low);
    service.accepts(&token).await;

    service.clock.advance(TOKEN_LIFETIME + SignedDuration::from_mins(2));

    assert!(matches!(
        service.verifier.verify(&token).await,
        Err(TokenRefusal::Expired)
    ));
    service.accepts(&service.tokens.citizen(CITIZEN, Assurance::Low)).await;
}

#[tokio::test]
async fn two_issuers_do_not_know_each_others_keys() {
    let service = Service::new();

    let foreign = Tokens::new().citizen(CITIZEN, Assurance::High);

    assert!(service.verifier.verify(&foreign).await.is_err());
}

#[tokio::test]
async fn claims_can_be_changed_before_they_are_signed() {
    let service = Service::new();
    let mut claims = service.tokens.claims(CallerKind::Citizen, CITIZEN);
    claims.aud = "elsewhere".into();

    let refusal = service.verifier.verify(&service.tokens.sign(&claims)).await;

    assert!(matches!(refusal, Err(TokenRefusal::WrongAudience)));
}
