//! The feed of permits: what is revoked is out of force within a second, and whoever does not know refuses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egov_clock::{SharedClock, SystemClock};
use egov_integration::permit_feed::{GrpcPermitFeed, PermitFeed, Place, turn};
use egov_integration::permits::{Call, Denial, Grant, PermitBook};
use egov_proto::egov::integration::v1::*;
use jiff::SignedDuration;
use tonic::Code;
use tonic::transport::Endpoint;
use uuid::Uuid;

use crate::agreements::{delegate, revoke};
use crate::support::*;

/// An instance that follows the feed, turn by turn.
struct Instance {
    feed: Box<dyn PermitFeed>,
    book: PermitBook,
    clock: SharedClock,
    place: Place,
}

impl Instance {
    /// One with the database.
    fn near(stack: &Stack) -> Self {
        Self::with(stack, Box::new(stack.pool.clone()))
    }

    /// One in another process, over gRPC.
    fn far(stack: &Stack) -> Self {
        let token = stack
            .tokens
            .system(Uuid::from_u128(0xed), &[("integration_mediator", 0)]);
        let channel = Endpoint::from_shared(stack.address.clone()).unwrap().connect_lazy();
        Self::with(
            stack,
            Box::new(GrpcPermitFeed::new(channel, Arc::new(move || token.clone()))),
        )
    }

    fn with(stack: &Stack, feed: Box<dyn PermitFeed>) -> Self {
        Self {
            feed,
            book: PermitBook::new(stack.clock.shared()),
            clock: stack.clock.shared(),
            place: Place::default(),
        }
    }

    async fn turn(&mut self) {
        self.place = turn(self.feed.as_ref(), &self.book, &self.clock, self.place)
            .await
            .unwrap();
    }

    fn ask(&self, client_id: &str, method: &str) -> Result<Grant, Denial> {
        self.book.permits(Call {
            client_id,
            method,
            service_id: None,
            purpose: Some("case_handling"),
        })
    }
}

#[tokio::test]
async fn a_revocation_is_in_force_at_every_instance_after_its_next_turn_and_a_stale_one_refuses() {
    let stack = Stack::start().await;
    let mut instances = [Instance::near(&stack), Instance::far(&stack)];
    let held = agreed(&stack).await;
    for instance in &mut instances {
        assert_eq!(instance.ask("client-2", LIST).unwrap_err(), Denial::Stale);
        instance.turn().await;
        let grant = instance.ask("client-2", LIST).unwrap();
        assert_eq!(grant.permit().agreement_id.to_string(), held.agreement.agreement_id);
        assert_eq!(
            grant.terms(LIST).unwrap().mask,
            ["agreements.agreement_id", "agreements.state"]
        );
        assert_eq!(instance.ask("client-3", LIST).unwrap_err(), Denial::NoAgreement);
        let other = instance.ask("client-2", "egov.integration.v1.AgreementService/SignAgreement");
        assert_eq!(other.unwrap_err(), Denial::NoAgreement);
    }
    revoke(&stack, PARTNER, PROVIDER, &held.agreement).await.unwrap();
    stack.clock.advance(SignedDuration::from_millis(1_001));
    for instance in &mut instances {
        // Without a turn it does not know of the revocation, and refuses because a second is over.
        assert_eq!(instance.ask("client-2", LIST).unwrap_err(), Denial::Stale);
        instance.turn().await;
        assert_eq!(instance.ask("client-2", LIST).unwrap_err(), Denial::NoAgreement);
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the thread of the runtime is to be held")]
async fn the_running_service_hears_of_a_revocation_within_a_second_however_busy_its_threads_are() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    // The same follower as in a mediating process, by the machine's clock: the stack's stands still.
    let clock = SystemClock::shared();
    let book = Arc::new(PermitBook::new(clock.clone()));
    let stop = tokio_util::sync::CancellationToken::new();
    let following = tokio::spawn({
        let (pool, book, stop) = (stack.pool.clone(), Arc::clone(&book), stop.clone());
        async move { egov_integration::permit_feed::follow_apart(&pool, &book, &clock, stop).await }
    });
    let agreement_id = Uuid::try_parse(&held.agreement.agreement_id).unwrap();
    let known = async {
        while book.of_agreement(agreement_id).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), known).await.unwrap();
    revoke(&stack, ADMIN, PROVINCE, &held.agreement).await.unwrap();
    // Nothing is awaited from here on: the one thread of this runtime, which serves as well, does nothing else for two seconds.
    let revoked = Instant::now();
    let mut gone = None;
    while revoked.elapsed() < Duration::from_secs(2) {
        if gone.is_none() && book.of_agreement(agreement_id).is_empty() {
            gone = Some(revoked.elapsed());
        }
        assert!(book.is_fresh(), "nobody is told PERMITS_STALE meanwhile");
        std::thread::sleep(Duration::from_millis(5));
    }
    let gone = gone.unwrap();
    assert!(gone < Duration::from_secs(1), "in force after {gone:?}");
    stop.cancel();
    following.await.unwrap().unwrap();
}

#[tokio::test]
async fn delegates_certificates_and_standings_reach_the_permits() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let other = party(&stack, STRANGER).await;
    let mut instance = Instance::near(&stack);
    let delegated = delegate(&stack, &held.agreement, &other.system.system_id, &[LIST], 24)
        .await
        .unwrap();
    instance.turn().await;
    assert!(instance.ask("client-4", LIST).is_ok());
    assert_eq!(instance.ask("client-4", GET).unwrap_err(), Denial::NoAgreement);
    // A delegate that is suspended calls no more; the others do.
    let change = |party: &Party, etag: &str, state: SystemState| ChangeSystemStateRequest {
        request_id: request_id(),
        system_id: party.system.system_id.clone(),
        etag: etag.to_owned(),
        state: state.into(),
        reason: "kiểm tra".to_owned(),
    };
    let mut stranger = stack.staff(PARTNER, STRANGER);
    let suspend = change(&other, &other.system.etag, SystemState::Suspended);
    stranger.systems.change_system_state(suspend).await.unwrap();
    instance.turn().await;
    assert_eq!(instance.ask("client-4", LIST).unwrap_err(), Denial::NoAgreement);
    assert!(instance.ask("client-2", LIST).is_ok());
    // A provider that is suspended takes its agreements with it, and brings them back.
    let organisation = &held.provider.organisation;
    let change = |etag: &str, state: OrganisationState| ChangeOrganisationStateRequest {
        request_id: request_id(),
        organisation_id: organisation.organisation_id.clone(),
        etag: etag.to_owned(),
        state: state.into(),
        reason: "kiểm tra".to_owned(),
    };
    let mut provider = stack.staff(PARTNER, PROVIDER);
    let request = change(&organisation.etag, OrganisationState::Suspended);
    let suspended = provider.organisations.change_organisation_state(request).await.unwrap();
    let suspended = suspended.into_inner().organisation.unwrap();
    instance.turn().await;
    assert_eq!(instance.ask("client-2", LIST).unwrap_err(), Denial::NoAgreement);
    let request = change(&suspended.etag, OrganisationState::Active);
    provider.organisations.change_organisation_state(request).await.unwrap();
    instance.turn().await;
    assert!(instance.ask("client-2", LIST).is_ok());
    // With the agreement, its delegations end.
    revoke(&stack, PARTNER, CONSUMER, &delegated).await.unwrap();
    instance.turn().await;
    assert_eq!(instance.ask("client-4", LIST).unwrap_err(), Denial::NoAgreement);
}

#[tokio::test]
async fn a_certificate_that_is_withdrawn_is_gone_from_the_permits() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let mut instance = Instance::near(&stack);
    let mut caller = stack.staff(PARTNER, CONSUMER);
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
    let add = AddCertificateRequest {
        request_id: request_id(),
        system_id: held.consumer.system.system_id.clone(),
        etag: held.consumer.system.etag.clone(),
        certificate_pem: params.self_signed(&pair).unwrap().pem(),
    };
    let system = caller
        .systems
        .add_certificate(add)
        .await
        .unwrap()
        .into_inner()
        .system
        .unwrap();
    let thumbprint = system.certificates[0].thumbprint.clone();
    instance.turn().await;
    let knows = |instance: &Instance| {
        let grant = instance.ask("client-2", LIST).unwrap();
        grant.caller().unwrap().knows_certificate(&thumbprint, stack.now())
    };
    assert!(knows(&instance));
    let withdraw = WithdrawCertificateRequest {
        request_id: request_id(),
        system_id: system.system_id.clone(),
        etag: system.etag.clone(),
        certificate_id: system.certificates[0].certificate_id.clone(),
        reason: "mất khóa".to_owned(),
    };
    caller.systems.withdraw_certificate(withdraw).await.unwrap();
    instance.turn().await;
    assert!(!knows(&instance));
}

#[tokio::test]
async fn after_a_restore_the_feed_begins_again() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let mut instance = Instance::near(&stack);
    instance.turn().await;
    let before = instance.place;
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query("SELECT egov.begin_epoch('restored')")
        .execute(&mut superuser)
        .await
        .unwrap();
    let mut mediator = stack.mediator();
    let ask = ListPermitChangesRequest {
        position: before.position,
        epoch: before.epoch,
    };
    let answer = mediator.permits.list_permit_changes(ask).await.unwrap().into_inner();
    assert!(answer.from_beginning && !answer.more);
    assert_eq!(answer.changes[0].agreement_id, held.agreement.agreement_id);
    assert_eq!(answer.epoch, before.epoch + 1);
    let ask = ListPermitChangesRequest {
        position: answer.position,
        epoch: answer.epoch,
    };
    let quiet = mediator.permits.list_permit_changes(ask).await.unwrap().into_inner();
    assert!(quiet.changes.is_empty() && !quiet.from_beginning);
    let status = stack
        .staff(PARTNER, CONSUMER)
        .permits
        .list_permit_changes(ListPermitChangesRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}
