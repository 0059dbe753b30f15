//! The keyring as services use it: a folder that is made once, rotation, refusals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_clock::ManualClock;
use egov_keyring::{Keyring, KeyringError, NoteKey, Purpose};
use jiff::SignedDuration;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{DecodingKey, Header, Validation};
use serde_json::{Value, json};
use tempfile::TempDir;

const CHILD_FOLDER: &str = "EGOV_KEYRING_TEST_FOLDER";

fn clock() -> ManualClock {
    ManualClock::at("2026-11-23T01:00:00Z".parse().unwrap())
}

struct Folder {
    _parent: TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data/keyring");
    Folder { _parent: parent, path }
}

fn made() -> (Folder, Keyring, ManualClock) {
    let folder = folder();
    let clock = clock();
    let keyring = Keyring::create_missing(&folder.path, &clock).unwrap();
    (folder, keyring, clock)
}

fn file(folder: &Path, purpose: Purpose) -> PathBuf {
    folder.join(format!("{purpose}.json"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn ids(keyring: &Keyring) -> Vec<String> {
    Purpose::ALL
        .into_iter()
        .map(|purpose| keyring.signing(purpose).id().to_owned())
        .collect()
}

fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    files.sort();
    files
}

/// A token of `key`, verified with the JWK set alone, as another service would.
fn verified(token: &str, jwks: &Value) -> bool {
    let set: JwkSet = serde_json::from_value(jwks.clone()).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let Some(jwk) = set.find(header.kid.as_deref().unwrap()) else {
        return false;
    };
    let mut validation = Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Value>(token, &DecodingKey::try_from(jwk).unwrap(), &validation).is_ok()
}

#[test]
fn making_a_keyring_twice_changes_nothing() {
    let (folder, keyring, clock) = made();
    let before = content(&folder.path);
    clock.advance(SignedDuration::from_hours(24));
    let again = Keyring::create_missing(&folder.path, &clock).unwrap();
    assert_eq!(content(&folder.path), before);
    assert_eq!(ids(&again), ids(&keyring));
    assert_eq!(ids(&Keyring::open(&folder.path, &clock).unwrap()), ids(&keyring));
}

#[test]
fn the_folder_and_its_files_belong_to_their_owner_only() {
    let (folder, _, _) = made();
    assert_eq!(mode(&folder.path), 0o700);
    for (path, _) in content(&folder.path) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// Not a test of its own: what the processes of the next test run.
#[test]
#[ignore = "run by processes_that_make_a_keyring_together_get_the_same_one"]
fn child_that_makes_a_keyring() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let keyring = Keyring::create_missing(Path::new(&folder), &clock()).unwrap();
    println!("ids={}", ids(&keyring).join(","));
}

#[test]
fn processes_that_make_a_keyring_together_get_the_same_one() {
    let folder = folder();
    let children: Vec<_> = (0..6)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child_that_makes_a_keyring", "--ignored", "--nocapture"])
                .env(CHILD_FOLDER, &folder.path)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut seen = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.split("ids=").nth(1).unwrap();
        seen.push(line.lines().next().unwrap().to_owned());
    }
    let keyring = Keyring::open(&folder.path, &clock()).unwrap();
    assert_eq!(seen, vec![ids(&keyring).join(","); 6]);
    let left = content(&folder.path);
    assert_eq!(left.len(), Purpose::ALL.len() + 2, "keys, list and lock");
}

#[test]
fn threads_that_rotate_together_lose_no_key() {
    let (folder, _, clock) = made();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let keyring = Keyring::open(&folder.path, &clock).unwrap();
                keyring
                    .rotate(Purpose::Answers, SignedDuration::from_hours(1), &clock)
                    .unwrap();
            });
        }
    });
    let keyring = Keyring::open(&folder.path, &clock).unwrap();
    let jwks = keyring.jwks(Purpose::Answers);
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 9);
}

#[test]
fn a_rotated_key_verifies_and_opens_until_its_overlap_ends() {
    let (_folder, keyring, clock) = made();
    let purpose = Purpose::Receipts;
    let old = keyring.signing(purpose);
    let signature = old.sign(b"receipt").unwrap();
    let (mac_id, mac) = keyring.mac(purpose, b"receipt");
    let sealed = keyring.seal(purpose, b"receipt", b"");

    let new_id = keyring.rotate(purpose, SignedDuration::from_hours(2), &clock).unwrap();
    assert_ne!(new_id, old.id());
    assert_eq!(keyring.signing(purpose).id(), new_id);
    assert_eq!(keyring.mac(purpose, b"receipt").0, new_id);

    clock.advance(SignedDuration::from_mins(119));
    keyring.reload(&clock).unwrap();
    assert!(keyring.verify(purpose, old.id(), b"receipt", &signature));
    assert!(keyring.verify_mac(purpose, &mac_id, b"receipt", &mac));
    assert_eq!(keyring.open_sealed(purpose, &sealed, b"").unwrap(), b"receipt");
    assert_eq!(keyring.jwks(purpose)["keys"].as_array().unwrap().len(), 2);

    clock.advance(SignedDuration::from_mins(1));
    keyring.reload(&clock).unwrap();
    assert!(!keyring.verify(purpose, old.id(), b"receipt", &signature));
    assert!(!keyring.verify_mac(purpose, &mac_id, b"receipt", &mac));
    assert!(matches!(
        keyring.open_sealed(purpose, &sealed, b""),
        Err(KeyringError::UnknownKey {
            purpose: Purpose::Receipts
        })
    ));
    let jwks = keyring.jwks(purpose);
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
    assert_eq!(jwks["keys"][0]["kid"], new_id);
}

#[test]
fn rotation_of_one_purpose_leaves_the_others_alone() {
    let (_folder, keyring, clock) = made();
    let before = ids(&keyring);
    keyring
        .rotate(Purpose::TokenSigning, SignedDuration::ZERO, &clock)
        .unwrap();
    let after = ids(&keyring);
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1..], before[1..]);
}

#[test]
fn a_second_rotation_never_prolongs_an_overlap() {
    let (_folder, keyring, clock) = made();
    let purpose = Purpose::PageTokens;
    let sealed = keyring.seal(purpose, b"page", b"");
    keyring.rotate(purpose, SignedDuration::from_hours(1), &clock).unwrap();
    keyring
        .rotate(purpose, SignedDuration::from_hours(100), &clock)
        .unwrap();
    clock.advance(SignedDuration::from_hours(1));
    keyring.reload(&clock).unwrap();
    assert!(keyring.open_sealed(purpose, &sealed, b"").is_err());
}

#[test]
fn a_stolen_key_is_taken_out_of_use_at_once() {
    let (_folder, keyring, clock) = made();
    let stolen = keyring.signing(Purpose::TokenSigning);
    let forged = stolen.jwt("at+jwt", &json!({ "sub": "x" })).unwrap();
    keyring
        .rotate(Purpose::TokenSigning, SignedDuration::ZERO, &clock)
        .unwrap();
    assert!(!verified(&forged, &keyring.jwks(Purpose::TokenSigning)));
}

/// The ids of the published keys of tokens.
fn published(keyring: &Keyring) -> Vec<String> {
    keyring.jwks(Purpose::TokenSigning)["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_withdrawn_key_is_gone_at_once_and_another_signs() {
    let (_folder, keyring, clock) = made();
    let purpose = Purpose::TokenSigning;
    let first = keyring.signing(purpose);
    let signature = first.sign(b"token").unwrap();
    let made = keyring.withdraw(purpose, first.id(), &clock).unwrap().unwrap();
    assert_eq!(published(&keyring), [made.as_str()]);
    assert_eq!(keyring.signing(purpose).id(), made);
    assert!(!keyring.verify(purpose, first.id(), b"token", &signature));
    assert_eq!(keyring.withdrawn(purpose), [first.id()]);
    // Again: nothing more happens, and no key is made.
    assert_eq!(keyring.withdraw(purpose, first.id(), &clock).unwrap(), None);
    assert_eq!(published(&keyring), [made.as_str()]);
    let error = keyring.withdraw(purpose, "20261123-00000000", &clock).unwrap_err();
    assert!(matches!(error, KeyringError::NoSuchKey { .. }), "{error}");
}

#[test]
fn withdrawing_one_key_leaves_the_others_and_their_overlap_alone() {
    let (_folder, keyring, clock) = made();
    let purpose = Purpose::TokenSigning;
    let old = keyring.signing(purpose).id().to_owned();
    let newest = keyring.rotate(purpose, SignedDuration::from_hours(1), &clock).unwrap();
    // The older one: the newest is there to sign, so none is made.
    let (_other_folder, other, _) = made_pair();
    let other_old = published(&other)[0].clone();
    assert_eq!(other.withdraw(purpose, &other_old, &clock).unwrap(), None);
    assert_eq!(published(&other).len(), 1);
    // The newest: the older one still verifies and still ends, and a third signs.
    let third = keyring.withdraw(purpose, &newest, &clock).unwrap().unwrap();
    assert_eq!(published(&keyring), [old.as_str(), third.as_str()]);
    clock.advance(SignedDuration::from_hours(1));
    keyring.reload(&clock).unwrap();
    assert_eq!(published(&keyring), [third.as_str()]);
}

/// A keyring of tokens with two keys, the older one in its overlap.
fn made_pair() -> (Folder, Keyring, ManualClock) {
    let (folder, keyring, clock) = made();
    keyring
        .rotate(Purpose::TokenSigning, SignedDuration::from_hours(1), &clock)
        .unwrap();
    (folder, keyring, clock)
}

#[test]
fn another_process_acts_on_a_withdrawal_whatever_its_clock_says() {
    let (folder, keyring, clock) = made();
    let purpose = Purpose::TokenSigning;
    // It read the keyring a while ago, by a clock that is behind, and has not reloaded since.
    let behind = ManualClock::at("2026-11-23T00:59:30Z".parse().unwrap());
    let other = Keyring::open(&folder.path, &behind).unwrap();
    clock.advance(SignedDuration::from_secs(10));
    let stolen = keyring.signing(purpose).id().to_owned();
    let made = keyring.withdraw(purpose, &stolen, &clock).unwrap().unwrap();
    assert_eq!(published(&other), [made.as_str()]);
    assert_eq!(other.withdrawn(purpose), [stolen.as_str()]);
    assert_eq!(other.signing(purpose).id(), made);
    let lives = other.lives(purpose).unwrap();
    let seen: Vec<_> = lives.iter().map(|life| (life.id.as_str(), life.withdrawn)).collect();
    assert_eq!(seen, [(stolen.as_str(), true), (made.as_str(), false)]);
}

#[test]
fn threads_that_withdraw_one_key_together_make_one_other() {
    let (_folder, keyring, clock) = made();
    let purpose = Purpose::TokenSigning;
    let stolen = keyring.signing(purpose).id().to_owned();
    let made: Vec<String> = std::thread::scope(|scope| {
        let withdrawing: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| keyring.withdraw(purpose, &stolen, &clock).unwrap()))
            .collect();
        withdrawing
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(made.len(), 1);
    assert_eq!(published(&keyring), made);
}

#[test]
fn a_negative_or_endless_overlap_is_refused() {
    let (folder, keyring, clock) = made();
    let before = content(&folder.path);
    for overlap in [SignedDuration::from_secs(-1), SignedDuration::MAX] {
        assert!(matches!(
            keyring.rotate(Purpose::Answers, overlap, &clock),
            Err(KeyringError::BadOverlap)
        ));
    }
    assert_eq!(content(&folder.path), before);
}

#[test]
fn a_process_notices_that_another_one_rotated() {
    let (folder, here, clock) = made();
    let there = Keyring::open(&folder.path, &clock).unwrap();
    let new_id = there
        .rotate(Purpose::PageTokens, SignedDuration::from_hours(1), &clock)
        .unwrap();
    let sealed = there.seal(Purpose::PageTokens, b"page", b"");
    assert_eq!(here.open_sealed(Purpose::PageTokens, &sealed, b"").unwrap(), b"page");
    there
        .rotate(Purpose::TokenSigning, SignedDuration::from_hours(1), &clock)
        .unwrap();
    assert_eq!(here.jwks(Purpose::TokenSigning), there.jwks(Purpose::TokenSigning));
    assert_eq!(here.signing(Purpose::PageTokens).id(), new_id);
}

#[test]
fn a_keyring_that_was_damaged_after_opening_goes_on_with_what_it_knows() {
    let (folder, keyring, clock) = made();
    let sealed = keyring.seal(Purpose::Answers, b"answer", b"");
    fs::write(file(&folder.path, Purpose::Answers), b"{").unwrap();
    assert!(matches!(keyring.reload(&clock), Err(KeyringError::Damaged { .. })));
    assert_eq!(keyring.open_sealed(Purpose::Answers, &sealed, b"").unwrap(), b"answer");
    assert!(!keyring.verify(Purpose::Answers, "unknown", b"", &[0; 64]));
}

#[test]
fn altered_texts_and_other_additional_data_are_refused() {
    let (_folder, keyring, _) = made();
    let purpose = Purpose::Answers;
    let mut sealed = keyring.seal(purpose, b"answer", b"request 7");
    assert!(matches!(
        keyring.open_sealed(purpose, &sealed, b"request 8"),
        Err(KeyringError::NotAuthentic)
    ));
    *sealed.last_mut().unwrap() ^= 1;
    assert!(matches!(
        keyring.open_sealed(purpose, &sealed, b"request 7"),
        Err(KeyringError::NotAuthentic)
    ));
    assert!(matches!(
        keyring.open_sealed(purpose, b"plain text", b""),
        Err(KeyringError::NotSealed)
    ));
}

#[test]
fn what_is_sealed_for_one_purpose_opens_for_no_other() {
    let (folder, keyring, clock) = made();
    let sealed = keyring.seal(Purpose::PageTokens, b"page", b"");
    assert!(keyring.open_sealed(Purpose::Answers, &sealed, b"").is_err());

    // Not even if somebody with access to the folder puts one file in the place of the other.
    let text = fs::read_to_string(file(&folder.path, Purpose::PageTokens)).unwrap();
    fs::write(file(&folder.path, Purpose::Answers), &text).unwrap();
    assert!(matches!(
        Keyring::open(&folder.path, &clock),
        Err(KeyringError::Damaged { .. })
    ));
    let text = text.replace("\"page-tokens\"", "\"answers\"");
    fs::write(file(&folder.path, Purpose::Answers), text).unwrap();
    let swapped = Keyring::open(&folder.path, &clock).unwrap();
    assert!(matches!(
        swapped.open_sealed(Purpose::Answers, &sealed, b""),
        Err(KeyringError::NotAuthentic)
    ));
}

#[test]
fn tokens_verify_with_the_published_keys_alone() {
    let (_folder, keyring, _) = made();
    let key = keyring.signing(Purpose::TokenSigning);
    let jwks = keyring.jwks(Purpose::TokenSigning);
    let claims = json!({ "sub": "0198", "roles": [] });

    let own = key.jwt("at+jwt", &claims).unwrap();
    assert!(verified(&own, &jwks));
    let header = jsonwebtoken::decode_header(&own).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));

    let mut header = Header::new(key.algorithm());
    header.kid = Some(key.id().to_owned());
    let theirs = jsonwebtoken::encode(&header, &claims, key.encoding_key().unwrap()).unwrap();
    assert!(verified(&theirs, &jwks));

    let other = keyring.jwks(Purpose::TreeSigning);
    assert!(!verified(&own, &other));
    let published = jwks["keys"][0].as_object().unwrap();
    assert!(!published.contains_key("d"), "the private part stays here");
    let jwk: Jwk = serde_json::from_value(jwks["keys"][0].clone()).unwrap();
    assert!(jwk.is_supported());
}

#[test]
fn a_signature_and_a_code_hold_for_one_message_key_and_purpose() {
    let keyring = Keyring::ephemeral();
    let key = keyring.signing(Purpose::Checkpoints);
    let signature = key.sign(b"root").unwrap();
    assert_eq!(signature.len(), 64);
    assert!(keyring.verify(Purpose::Checkpoints, key.id(), b"root", &signature));
    assert!(!keyring.verify(Purpose::Checkpoints, key.id(), b"Root", &signature));
    assert!(!keyring.verify(Purpose::Checkpoints, "other", b"root", &signature));
    assert!(!keyring.verify(Purpose::Receipts, key.id(), b"root", &signature));
    assert!(!keyring.verify(Purpose::Checkpoints, key.id(), b"root", &signature[1..]));

    let (id, code) = keyring.mac(Purpose::LookupSecrets, b"secret");
    assert_eq!(keyring.mac(Purpose::LookupSecrets, b"secret"), (id.clone(), code));
    assert!(keyring.verify_mac(Purpose::LookupSecrets, &id, b"secret", &code));
    assert!(!keyring.verify_mac(Purpose::LookupSecrets, &id, b"Secret", &code));
    assert!(!keyring.verify_mac(Purpose::LookupSecrets, &id, b"secret", &code[..16]));
    assert!(!keyring.verify_mac(Purpose::Webhooks, &id, b"secret", &code));
}

#[test]
fn too_open_permissions_are_refused_with_the_command_that_closes_them() {
    let (folder, _, clock) = made();
    set_mode(&folder.path, 0o755);
    let err = Keyring::open(&folder.path, &clock).unwrap_err();
    assert!(matches!(err, KeyringError::TooOpen { mode: 0o755, .. }));
    assert!(err.to_string().contains("chmod 0700"), "{err}");
    assert!(Keyring::create_missing(&folder.path, &clock).is_err());
    set_mode(&folder.path, 0o700);

    let path = file(&folder.path, Purpose::Checkpoints);
    for open in [0o640, 0o604, 0o620] {
        set_mode(&path, open);
        let err = Keyring::open(&folder.path, &clock).unwrap_err();
        assert!(matches!(&err, KeyringError::TooOpen { mode, .. } if *mode == open));
        assert!(err.to_string().contains("chmod 0600"), "{err}");
    }
    set_mode(&path, 0o400);
    assert!(Keyring::open(&folder.path, &clock).is_ok(), "a read-only key is fine");
}

#[test]
fn a_missing_keyring_is_not_made_by_opening_it() {
    let folder = folder();
    let err = Keyring::open(&folder.path, &clock()).unwrap_err();
    assert!(matches!(err, KeyringError::Missing { .. }));
    assert!(err.to_string().contains("egov up"), "{err}");
    assert!(!folder.path.exists());
}

#[test]
fn a_lost_key_is_reported_and_never_replaced_silently() {
    let (folder, _, clock) = made();
    fs::remove_file(file(&folder.path, Purpose::Answers)).unwrap();
    for result in [
        Keyring::open(&folder.path, &clock),
        Keyring::create_missing(&folder.path, &clock),
    ] {
        let err = result.unwrap_err();
        assert!(matches!(
            err,
            KeyringError::Lost {
                purpose: Purpose::Answers,
                ..
            }
        ));
        assert!(err.to_string().contains("backup"), "{err}");
    }
}

#[test]
fn a_purpose_of_a_newer_version_is_added_to_an_older_keyring() {
    let (folder, before, clock) = made();
    // As it was before the purpose existed: neither file nor entry in the list.
    fs::remove_file(file(&folder.path, Purpose::Bodies)).unwrap();
    let index = folder.path.join("index.json");
    let mut list: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    list["made"].as_array_mut().unwrap().pop();
    fs::write(&index, list.to_string()).unwrap();

    assert!(matches!(
        Keyring::open(&folder.path, &clock),
        Err(KeyringError::NotYetMade {
            purpose: Purpose::Bodies,
            ..
        })
    ));
    let after = Keyring::create_missing(&folder.path, &clock).unwrap();
    assert_eq!(ids(&after)[..9], ids(&before)[..9]);
    assert_ne!(ids(&after)[9], ids(&before)[9]);
}

#[test]
fn a_process_killed_while_making_the_keyring_is_continued() {
    let (folder, before, clock) = made();
    // Killed after the file stood in its place and before it was listed, and in the middle of writing the next.
    fs::write(folder.path.join("index.json"), r#"{"format":1,"made":[]}"#).unwrap();
    let unfinished = folder.path.join("receipts.json.unfinished");
    fs::write(&unfinished, "{").unwrap();
    let after = Keyring::create_missing(&folder.path, &clock).unwrap();
    assert_eq!(ids(&after), ids(&before));
    assert!(!unfinished.exists());
    fs::remove_file(file(&folder.path, Purpose::Receipts)).unwrap();
    assert!(matches!(
        Keyring::create_missing(&folder.path, &clock),
        Err(KeyringError::Lost { .. })
    ));
}

#[test]
fn damaged_files_are_refused_without_showing_what_they_hold() {
    let (folder, _, clock) = made();
    let path = file(&folder.path, Purpose::Answers);
    let whole = fs::read_to_string(&path).unwrap();
    let parsed: Value = serde_json::from_str(&whole).unwrap();
    let secret = parsed["keys"][1]["secret"].as_str().unwrap().to_owned();

    let mut flipped = secret.clone().into_bytes();
    flipped[3] = if flipped[3] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let without_pair = {
        let mut value = parsed.clone();
        value["keys"].as_array_mut().unwrap().remove(0);
        value.to_string()
    };
    let twice = {
        let mut value = parsed.clone();
        let keys = value["keys"].as_array().unwrap().clone();
        value["keys"].as_array_mut().unwrap().extend(keys);
        value.to_string()
    };
    for damaged in [
        String::new(),
        whole[..whole.len() / 2].to_owned(),
        whole.replace(&secret, &flipped),
        whole.replace(&secret, &secret[4..]),
        whole.replace(&secret, "not base64!"),
        whole.replace("HKDF-SHA256", "ROT13"),
        whole.replace("\"keys\"", "\"cles\""),
        json!({ "format": 1, "purpose": "answers", "keys": [] }).to_string(),
        without_pair,
        twice,
    ] {
        assert_ne!(damaged, whole);
        fs::write(&path, &damaged).unwrap();
        let err = Keyring::open(&folder.path, &clock).unwrap_err();
        assert!(matches!(err, KeyringError::Damaged { .. }), "{err}");
        let shown = format!("{err} {err:?}");
        assert!(shown.contains("answers.json") && err.to_string().contains("backup"));
        assert!(!shown.contains(&secret[..8]) && !shown.contains(&flipped[..8]));
        assert!(!shown.contains("not base64!"));
    }
    fs::write(&path, whole.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(matches!(
        Keyring::open(&folder.path, &clock),
        Err(KeyringError::Newer { found: 2, known: 1, .. })
    ));
}

#[test]
fn a_keyring_whose_keys_all_retired_is_refused() {
    let (folder, _, clock) = made();
    let path = file(&folder.path, Purpose::Answers);
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"retires\": null", "\"retires\": \"2026-11-23T01:00:00Z\"");
    fs::write(&path, text).unwrap();
    assert!(matches!(
        Keyring::open(&folder.path, &clock),
        Err(KeyringError::AllRetired {
            purpose: Purpose::Answers
        })
    ));
}

#[test]
fn debug_shows_ids_and_no_secrets() {
    let (folder, keyring, _) = made();
    let key = keyring.signing(Purpose::TokenSigning);
    let shown = format!("{keyring:?} {key:?}");
    assert!(shown.contains(key.id()));
    for purpose in Purpose::ALL {
        let text = fs::read(file(&folder.path, purpose)).unwrap();
        let parsed: Value = serde_json::from_slice(&text).unwrap();
        for stored in parsed["keys"].as_array().unwrap() {
            let secret = stored["secret"].as_str().unwrap();
            let bytes = STANDARD.decode(secret).unwrap();
            for form in [secret.to_owned(), hex::encode(&bytes), format!("{bytes:?}")] {
                assert!(!shown.contains(&form[..16]), "{shown}");
            }
        }
    }
}

#[test]
fn a_key_for_notes_is_that_of_its_generation_and_purpose_and_lives_as_long() {
    let (folder, keyring, clock) = made();
    let key = keyring.note_key(Purpose::Checkpoints);
    let signature = key.sign(b"note");
    let verifies = |public: [u8; 32], message: &[u8]| {
        UnparsedPublicKey::new(&ED25519, public)
            .verify(message, &signature)
            .is_ok()
    };
    assert!(verifies(key.public_key(), b"note") && !verifies(key.public_key(), b"other"));
    assert!(!verifies(keyring.note_key(Purpose::Receipts).public_key(), b"note"));
    // It is not stored: whoever opens the folder again derives the same.
    let again = Keyring::open(&folder.path, &clock).unwrap();
    assert_eq!(again.note_key(Purpose::Checkpoints).public_key(), key.public_key());
    keyring
        .rotate(Purpose::Checkpoints, SignedDuration::from_hours(1), &clock)
        .unwrap();
    let newest = keyring.note_key(Purpose::Checkpoints).public_key();
    assert_ne!(newest, key.public_key());
    let known: Vec<_> = keyring
        .note_keys(Purpose::Checkpoints)
        .iter()
        .map(NoteKey::public_key)
        .collect();
    assert_eq!(known, [key.public_key(), newest]);
}
