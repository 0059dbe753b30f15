//! A directory against a feed whose answers the test decides.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use egov_auth::{
    Assurance, CallerKind, Issuer, KeySource, KeySourceError, Principal, Revocations, TokenClaims, TokenRefusal,
    Verifier, VerifierConfig, key_set_digest,
};
use egov_clock::{Clock as _, ManualClock};
use egov_directory::{Directory, DirectoryConfig, DirectoryError, Feed, SnapshotError, Trust};
use egov_fault::{Code, Fault};
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1 as wire;
use egov_proto::egov::identity::v1::revocation::Target;
use egov_proto::timestamp;
use jiff::SignedDuration;
use jiff::civil::date;
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const FRESH: Duration = Duration::from_secs(10);

/// Identity, as a test wants it.
#[derive(Clone)]
struct Identity {
    keyring: Keyring,
    clock: ManualClock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tree: wire::TreeSnapshot,
    revoked: Vec<(i64, Target)>,
    head: i64,
    batch: usize,
    away: bool,
    /// Changes an answer on its way.
    tamper: Option<fn(&mut wire::GetTreeSnapshotResponse)>,
    asked_after: Vec<i64>,
    kinds: Vec<wire::KindRevocation>,
    withdrawn: Vec<String>,
    digest: String,
}

impl Identity {
    fn new() -> Self {
        let identity = Self {
            keyring: Keyring::ephemeral(),
            clock: ManualClock::at("2026-11-23T01:00:00Z".parse().unwrap()),
            state: Arc::default(),
        };
        identity.with(|state| state.batch = 1000);
        identity.publish(1, &[(1, "40", 0), (2, "16690", 1)]);
        identity
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    fn publish(&self, version: i64, units: &[(i32, &str, i32)]) {
        let units = units
            .iter()
            .map(|(unit_id, code, parent_id)| wire::Unit {
                unit_id: *unit_id,
                code: (*code).to_owned(),
                name: format!("unit {unit_id}"),
                kind: wire::UnitKind::Ward as i32,
                parent_id: *parent_id,
                effective_from: Some(date(2025, 7, 1).into()),
                effective_to: None,
                agency_code: format!("H41.{unit_id}"),
                agency_code_provisional: true,
                status: 1,
            })
            .collect();
        self.with(|state| {
            state.tree = wire::TreeSnapshot {
                version,
                units,
                ..Default::default()
            }
        });
    }

    fn revoke(&self, target: Target) {
        self.with(|state| {
            state.head += 1;
            let position = state.head;
            state.revoked.push((position, target));
        });
    }

    fn directory(&self, folder: Option<&Path>, trust: Trust) -> Directory {
        let config = DirectoryConfig {
            folder: folder.map(Path::to_owned),
            poll: Duration::from_millis(5),
            trust,
        };
        Directory::open(config, self.clock.shared()).unwrap()
    }

    fn pinned(&self) -> Trust {
        Trust::Pinned(serde_json::from_value(self.keyring.jwks(Purpose::TreeSigning)).unwrap())
    }
}

fn away() -> Fault {
    Fault::new(Code::Unavailable, "STORE_UNAVAILABLE", "đi vắng", "away")
}

#[async_trait]
impl Feed for Identity {
    async fn tree(&self, known_version: i64) -> Result<wire::GetTreeSnapshotResponse, Fault> {
        self.with(|state| {
            if state.away {
                return Err(away());
            }
            let version = state.tree.version;
            if version == known_version {
                return Ok(wire::GetTreeSnapshotResponse {
                    version,
                    ..Default::default()
                });
            }
            let snapshot = state.tree.encode_to_vec();
            let key = self.keyring.signing(Purpose::TreeSigning);
            let mut answer = wire::GetTreeSnapshotResponse {
                signature: key.sign(&snapshot).unwrap(),
                key_id: key.id().to_owned(),
                jwks: self.keyring.jwks(Purpose::TreeSigning).to_string(),
                snapshot,
                version,
            };
            if let Some(tamper) = state.tamper {
                tamper(&mut answer);
            }
            Ok(answer)
        })
    }

    async fn revocations(&self, after: i64) -> Result<wire::ListRevocationsResponse, Fault> {
        let now = self.clock.now();
        self.with(|state| {
            if state.away {
                return Err(away());
            }
            state.asked_after.push(after);
            let mut left: Vec<_> = state
                .revoked
                .iter()
                .filter(|(position, _)| *position > after)
                .cloned()
                .collect();
            let more = left.len() > state.batch;
            left.truncate(state.batch);
            let position = match left.last() {
                Some((position, _)) if more => *position,
                _ => state.head,
            };
            let revocations = left
                .into_iter()
                .map(|(_, target)| wire::Revocation {
                    target: Some(target),
                    not_after: Some(timestamp(now)),
                    expire_time: Some(timestamp(now + SignedDuration::from_mins(10))),
                })
                .collect();
            Ok(wire::ListRevocationsResponse {
                revocations,
                position,
                more,
                kind_revocations: state.kinds.clone(),
                withdrawn_key_ids: state.withdrawn.clone(),
                key_set_digest: state.digest.clone(),
            })
        })
    }
}

fn principal(identity: &Identity, subject: u128) -> Principal {
    Principal {
        subject: Uuid::from_u128(subject),
        kind: CallerKind::Staff,
        issuer: "i".to_owned(),
        name_hint: None,
        unit: None,
        roles: Vec::new(),
        delegated: Vec::new(),
        assurance: Assurance::None,
        client_id: None,
        certificate: None,
        on_behalf_of: None,
        session: Some(Uuid::from_u128(subject + 1000)),
        token_id: format!("t{subject}"),
        key_id: "k".to_owned(),
        issued_at: identity.clock.now(),
        expires_at: jiff::Timestamp::MAX,
    }
}

fn revokes(revocations: &Revocations, identity: &Identity, subject: u128) -> bool {
    revocations.is_revoked(&principal(identity, subject))
}

#[tokio::test]
async fn withdrawn_keys_and_revoked_kinds_are_void_whatever_the_position() {
    let identity = Identity::new();
    let directory = identity.directory(None, identity.pinned());
    let revocations = directory.revocations();
    identity.revoke(Target::SubjectId(Uuid::from_u128(9).to_string()));
    directory.refresh(&identity).await.unwrap();
    assert!(!revokes(&revocations, &identity, 1));
    let now = identity.clock.now();
    identity.with(|state| state.withdrawn.push("k".to_owned()));
    directory.refresh(&identity).await.unwrap();
    assert!(revokes(&revocations, &identity, 1));
    // What another key signed goes on.
    let mut other = principal(&identity, 1);
    "l".clone_into(&mut other.key_id);
    assert!(!revocations.is_revoked(&other));
    identity.with(|state| {
        state.kinds.push(wire::KindRevocation {
            kind: wire::CallerKind::Staff.into(),
            not_after: Some(timestamp(now)),
            expire_time: Some(timestamp(now + SignedDuration::from_mins(10))),
        });
    });
    directory.refresh(&identity).await.unwrap();
    assert!(revocations.is_revoked(&other));
    // A key is never forgotten, a kind is when no token can be concerned.
    identity.with(|state| state.kinds.clear());
    identity.clock.advance(SignedDuration::from_hours(1));
    directory.refresh(&identity).await.unwrap();
    assert!(!revocations.is_revoked(&other));
    assert!(revokes(&revocations, &identity, 1));
}

/// The published keys of a keyring, and how often they were fetched.
#[derive(Clone)]
struct Published {
    keyring: Keyring,
    fetched: Arc<Mutex<usize>>,
}

#[async_trait]
impl KeySource for Published {
    async fn fetch(&self) -> Result<jsonwebtoken::jwk::JwkSet, KeySourceError> {
        *self.fetched.lock().unwrap() += 1;
        Ok(serde_json::from_value(self.keyring.jwks(Purpose::TokenSigning))?)
    }
}

impl Published {
    fn digest(&self) -> String {
        let set = serde_json::from_value(self.keyring.jwks(Purpose::TokenSigning)).unwrap();
        key_set_digest(&set).unwrap()
    }

    fn fetched(&self) -> usize {
        *self.fetched.lock().unwrap()
    }
}

/// A token of the newest key, or one that names a key that nobody has.
fn token(identity: &Identity, invented: Option<&str>) -> String {
    let now = identity.clock.now().as_second();
    let claims = TokenClaims {
        iss: "i".to_owned(),
        sub: Uuid::from_u128(1),
        aud: "egov".into(),
        exp: now + 300,
        nbf: None,
        iat: now,
        jti: "t".to_owned(),
        kind: CallerKind::Citizen,
        roles: Vec::new(),
        dlg: Vec::new(),
        unit: None,
        acr: Assurance::Low,
        sid: None,
        act: None,
        client_id: None,
        cnf: None,
        name: None,
    };
    let key = identity.keyring.signing(Purpose::TokenSigning);
    let token = key.jwt("at+jwt", &claims).unwrap();
    let Some(invented) = invented else { return token };
    use base64::Engine as _;
    let header = serde_json::json!({ "typ": "at+jwt", "alg": "ES256", "kid": invented }).to_string();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
    format!("{header}.{}", token.split_once('.').unwrap().1)
}

#[tokio::test]
async fn a_new_key_is_known_with_the_feed_also_during_a_flood_of_invented_key_ids() {
    let identity = Identity::new();
    let directory = identity.directory(None, identity.pinned());
    let published = Published {
        keyring: identity.keyring.clone(),
        fetched: Arc::default(),
    };
    let issuer = Issuer::new("i", "egov", Arc::new(published.clone()));
    let verifier = Arc::new(Verifier::new(
        vec![issuer],
        identity.clock.shared(),
        VerifierConfig::default(),
    ));
    directory.announce_keys_to(Arc::clone(&verifier));
    identity.with(|state| state.digest = published.digest());
    directory.refresh(&identity).await.unwrap();
    assert_eq!(published.fetched(), 1);
    // Nothing new is announced: nothing is fetched.
    directory.refresh(&identity).await.unwrap();
    assert_eq!(published.fetched(), 1);

    // A flood: one fetch in five seconds, and no more.
    identity.clock.advance(SignedDuration::from_secs(6));
    for number in 0..50 {
        let invented = token(&identity, Some(&format!("20261123-{number:08x}")));
        assert_eq!(verifier.verify(&invented).await.unwrap_err(), TokenRefusal::UnknownKey);
    }
    assert_eq!(published.fetched(), 2);
    // In it a key is withdrawn and another made, whose first token would have to wait for the end of the interval …
    let stolen = token(&identity, None);
    let old = identity.keyring.signing(Purpose::TokenSigning).id().to_owned();
    identity
        .keyring
        .withdraw(Purpose::TokenSigning, &old, &identity.clock)
        .unwrap();
    let fresh = token(&identity, None);
    assert_eq!(verifier.verify(&fresh).await.unwrap_err(), TokenRefusal::UnknownKey);
    assert!(verifier.verify(&stolen).await.is_ok());
    // … and does not: the feed announces it.
    identity.with(|state| state.digest = published.digest());
    directory.refresh(&identity).await.unwrap();
    assert_eq!(published.fetched(), 3);
    assert!(verifier.verify(&fresh).await.is_ok());
    assert_eq!(verifier.verify(&stolen).await.unwrap_err(), TokenRefusal::UnknownKey);
    // Announced keys that cannot be had lead to one fetch a round, and the round is as good as any.
    identity.with(|state| "0".repeat(64).clone_into(&mut state.digest));
    for round in 1..=3 {
        directory.refresh(&identity).await.unwrap();
        assert_eq!(published.fetched(), 3 + round);
    }
}

/// An address that accepts and says nothing.
struct Silent;

#[async_trait]
impl KeySource for Silent {
    async fn fetch(&self) -> Result<jsonwebtoken::jwk::JwkSet, KeySourceError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn keys_that_do_not_come_make_neither_the_round_late_nor_the_keys_of_others() {
    let identity = Identity::new();
    let directory = identity.directory(None, identity.pinned());
    let published = Published {
        keyring: identity.keyring.clone(),
        fetched: Arc::default(),
    };
    let issuers = vec![
        Issuer::new("silent", "egov", Arc::new(Silent)),
        Issuer::new("i", "egov", Arc::new(published.clone())),
    ];
    let verifier = Arc::new(Verifier::new(
        issuers,
        identity.clock.shared(),
        VerifierConfig::default(),
    ));
    directory.announce_keys_to(Arc::clone(&verifier));
    identity.with(|state| state.digest = published.digest());
    let began = std::time::Instant::now();
    directory.refresh(&identity).await.unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(directory.version(), 1);
    assert!(verifier.verify(&token(&identity, None)).await.is_ok());
}

#[tokio::test]
async fn a_signed_tree_is_taken_into_use_everywhere_at_once() {
    let identity = Identity::new();
    let directory = identity.directory(None, identity.pinned());
    let tree = directory.tree();
    assert!(tree.load().is_empty());
    directory.refresh(&identity).await.unwrap();
    assert_eq!(tree.load().subtree(1), [1, 2]);
    assert_eq!(directory.resolve("16690", date(2026, 1, 1)).unwrap().id, 2);
    identity.publish(2, &[(1, "40", 0), (2, "16690", 1), (3, "17329", 1)]);
    directory.refresh(&identity).await.unwrap();
    assert_eq!(tree.load().subtree(1), [1, 2, 3]);
    assert_eq!((directory.version(), directory.units().version()), (2, 2));
    assert_eq!(directory.unit(3).unwrap().name, "unit 3");
}

#[tokio::test]
async fn a_tampered_tree_is_refused_and_the_one_in_use_stays() {
    let identity = Identity::new();
    for trust in [identity.pinned(), Trust::Published] {
        let directory = identity.directory(None, trust);
        identity.with(|state| state.tamper = None);
        directory.refresh(&identity).await.unwrap();
        identity.publish(directory.version() + 1, &[(1, "40", 0), (9, "16690", 1)]);
        let tampers: [fn(&mut wire::GetTreeSnapshotResponse); 5] = [
            |answer| answer.snapshot.push(0),
            |answer| answer.signature[7] ^= 1,
            |answer| answer.signature.clear(),
            |answer| "other".clone_into(&mut answer.key_id),
            |answer| {
                // Another tree under a signature of its own, by a key that nobody knows.
                let forger = Keyring::ephemeral().signing(Purpose::TreeSigning);
                answer.signature = forger.sign(&answer.snapshot).unwrap();
            },
        ];
        for tamper in tampers {
            identity.with(|state| state.tamper = Some(tamper));
            let error = directory.refresh(&identity).await.unwrap_err();
            assert!(matches!(
                error,
                DirectoryError::Snapshot(SnapshotError::BadSignature | SnapshotError::UnknownKey)
            ));
            assert_eq!(directory.resolve("16690", date(2026, 1, 1)).unwrap().id, 2);
        }
        identity.publish(1, &[(1, "40", 0), (2, "16690", 1)]);
    }
}

#[tokio::test]
async fn a_pinned_key_is_not_replaced_by_one_that_comes_along() {
    let identity = Identity::new();
    let forger = Identity::new();
    let pinned = identity.directory(None, identity.pinned());
    // The forger signs well, and sends its own key along.
    assert!(matches!(
        pinned.refresh(&forger).await,
        Err(DirectoryError::Snapshot(SnapshotError::UnknownKey))
    ));
    assert_eq!(pinned.version(), 0);
}

#[tokio::test]
async fn an_older_tree_is_not_taken_back() {
    let identity = Identity::new();
    identity.publish(5, &[(1, "40", 0)]);
    let directory = identity.directory(None, Trust::Published);
    directory.refresh(&identity).await.unwrap();
    identity.publish(4, &[(1, "40", 0), (2, "16690", 1)]);
    assert!(matches!(
        directory.refresh(&identity).await,
        Err(DirectoryError::Snapshot(SnapshotError::Older { offered: 4, known: 5 }))
    ));
    assert_eq!(directory.version(), 5);
}

#[tokio::test]
async fn units_that_make_no_tree_are_refused() {
    let identity = Identity::new();
    identity.publish(1, &[(1, "40", 2), (2, "16690", 1)]);
    let directory = identity.directory(None, Trust::Published);
    assert!(matches!(
        directory.refresh(&identity).await,
        Err(DirectoryError::Snapshot(SnapshotError::NotATree(_)))
    ));
}

#[tokio::test]
async fn a_service_starts_and_reads_while_identity_is_away() {
    let identity = Identity::new();
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("directory");
    identity
        .directory(Some(&kept), identity.pinned())
        .refresh(&identity)
        .await
        .unwrap();
    identity.with(|state| state.away = true);

    let directory = identity.directory(Some(&kept), identity.pinned());
    assert!(matches!(
        directory.refresh(&identity).await,
        Err(DirectoryError::Feed(_))
    ));
    assert_eq!(directory.tree().load().subtree(1), [1, 2]);
    let code = directory.agency_code(2, date(2026, 1, 1)).unwrap();
    assert_eq!((code.code.as_str(), code.provisional), ("H41.2", true));
    // What was revoked is not known: writes that are marked sensitive must not go on.
    assert!(!directory.revocations().fresh_within(FRESH));
    identity.with(|state| state.away = false);
    directory.refresh(&identity).await.unwrap();
    assert!(directory.revocations().fresh_within(FRESH));
}

#[tokio::test]
async fn a_kept_tree_that_was_changed_on_disk_is_left_aside() {
    let identity = Identity::new();
    let folder = tempfile::tempdir().unwrap();
    identity
        .directory(Some(folder.path()), identity.pinned())
        .refresh(&identity)
        .await
        .unwrap();
    let file = folder.path().join("unit-tree.bin");
    let good = std::fs::read(&file).unwrap();
    let changed = |place: usize| {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        bytes
    };
    for bytes in [changed(20), good[..good.len() / 2].to_vec(), Vec::new()] {
        std::fs::write(&file, bytes).unwrap();
        let directory = identity.directory(Some(folder.path()), identity.pinned());
        assert_eq!(directory.version(), 0);
        // Identity sends another, and it is kept again.
        directory.refresh(&identity).await.unwrap();
        assert_eq!(directory.version(), 1);
    }
    let again = identity.directory(Some(folder.path()), identity.pinned());
    assert_eq!(again.version(), 1);
    let other_key = Keyring::ephemeral().jwks(Purpose::TreeSigning);
    let other = Trust::Pinned(serde_json::from_value(other_key).unwrap());
    assert_eq!(identity.directory(Some(folder.path()), other).version(), 0);
}

#[tokio::test]
async fn revocations_of_each_kind_take_effect_and_are_read_from_where_one_was() {
    let identity = Identity::new();
    let directory = identity.directory(None, Trust::Published);
    let revocations = directory.revocations();
    identity.revoke(Target::SubjectId(Uuid::from_u128(1).to_string()));
    directory.refresh(&identity).await.unwrap();
    identity.revoke(Target::SessionId(Uuid::from_u128(1002).to_string()));
    identity.revoke(Target::TokenId("t3".to_owned()));
    assert!(!revokes(&revocations, &identity, 2));
    directory.refresh(&identity).await.unwrap();
    for subject in 1..=3 {
        assert!(revokes(&revocations, &identity, subject), "{subject}");
    }
    assert!(!revokes(&revocations, &identity, 4));
    assert_eq!(identity.with(|state| state.asked_after.clone()), [0, 1]);
}

#[tokio::test]
async fn a_long_list_is_read_to_its_end_before_it_counts_as_fresh() {
    let identity = Identity::new();
    identity.with(|state| state.batch = 2);
    for subject in 1..=5_u128 {
        identity.revoke(Target::SubjectId(Uuid::from_u128(subject).to_string()));
    }
    let directory = identity.directory(None, Trust::Published);
    directory.refresh(&identity).await.unwrap();
    let revocations = directory.revocations();
    assert!((1..=5).all(|subject| revokes(&revocations, &identity, subject)));
    assert_eq!(identity.with(|state| state.asked_after.clone()), [0, 2, 4]);
    assert!(revocations.fresh_within(FRESH));
    identity.clock.advance(SignedDuration::from_secs(11));
    assert!(!revocations.fresh_within(FRESH), "nobody has asked since");
}

#[tokio::test]
async fn after_a_restore_of_identity_the_list_is_read_from_its_beginning() {
    let identity = Identity::new();
    for subject in 1..=3_u128 {
        identity.revoke(Target::SubjectId(Uuid::from_u128(subject).to_string()));
    }
    let directory = identity.directory(None, Trust::Published);
    directory.refresh(&identity).await.unwrap();
    // Back to a state before the second one; then another is added.
    identity.with(|state| {
        state.revoked.truncate(1);
        state.head = 1;
    });
    identity.revoke(Target::SubjectId(Uuid::from_u128(7).to_string()));
    directory.refresh(&identity).await.unwrap();
    let revocations = directory.revocations();
    for subject in [1, 2, 3, 7] {
        assert!(revokes(&revocations, &identity, subject), "{subject}");
    }
    assert_eq!(identity.with(|state| state.asked_after.clone()), [0, 3, 0]);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_makes_nothing_fresh() {
    let identity = Identity::new();
    identity.revoke(Target::SubjectId("not an id".to_owned()));
    let directory = identity.directory(None, Trust::Published);
    assert!(matches!(
        directory.refresh(&identity).await,
        Err(DirectoryError::Revocations)
    ));
    assert!(!directory.revocations().fresh_within(FRESH));
    // The tree is learnt all the same.
    assert_eq!(directory.version(), 1);
}

#[tokio::test]
async fn whoever_follows_hears_of_every_change_until_it_is_stopped() {
    let identity = Identity::new();
    let directory = Arc::new(identity.directory(None, Trust::Published));
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&directory).follow(identity.clone(), stop.clone()));
    directory.wait_for_version(1).await;
    identity.with(|state| state.away = true);
    tokio::time::sleep(Duration::from_millis(20)).await;
    identity.with(|state| state.away = false);
    identity.publish(2, &[(1, "40", 0)]);
    tokio::time::timeout(Duration::from_secs(10), directory.wait_for_version(2))
        .await
        .unwrap();
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), following)
        .await
        .unwrap()
        .unwrap();
}

#[test]
fn a_folder_that_cannot_be_used_stops_the_start() {
    let identity = Identity::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let config = DirectoryConfig {
        folder: Some(file),
        ..DirectoryConfig::default()
    };
    assert!(matches!(
        Directory::open(config, identity.clock.shared()),
        Err(DirectoryError::Folder { .. })
    ));
}
