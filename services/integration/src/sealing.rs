//! Seals what may lie for years: bodies of exchanges, messages in mailboxes, what is sent to partners and what they answered; and knows again
//! what is not kept.

use egov_keyring::{Keyring, KeyringError, Purpose};

/// Seals with the key of bodies, whose old generations are kept for as long as anything lies that they sealed. `bound` must be given
/// again to open it.
pub(crate) fn seal(keyring: &Keyring, plain: &[u8], bound: &[u8]) -> Vec<u8> {
    keyring.seal(Purpose::Bodies, plain, bound)
}

/// Opens what [`seal`] sealed, and what versions before sealed with the key of answers.
pub(crate) fn open(keyring: &Keyring, sealed: &[u8], bound: &[u8]) -> Result<Vec<u8>, KeyringError> {
    match keyring.open_sealed(Purpose::Bodies, sealed, bound) {
        // The id of the key stands in what was sealed: if it is none of bodies, it can only be one of answers.
        Err(KeyringError::UnknownKey { .. }) => keyring.open_sealed(Purpose::Answers, sealed, bound),
        opened => opened,
    }
}

/// A digest by which a content is known again that is not kept. It is keyed: whoever has the database alone learns nothing from it, and
/// cannot find out by trying what it is of. `bound` must be given again to compare.
pub(crate) fn digest(keyring: &Keyring, plain: &[u8], bound: &[u8]) -> String {
    let (key, code) = keyring.mac(Purpose::Bodies, &framed(plain, bound));
    format!("{key}.{}", hex::encode(code))
}

/// Whether a digest is that of this content. Of one whose key is gone nobody can say so.
pub(crate) fn is_digest_of(keyring: &Keyring, digest: &str, plain: &[u8], bound: &[u8]) -> bool {
    let Some((key, code)) = digest.rsplit_once('.') else {
        return false;
    };
    let Ok(code) = hex::decode(code) else {
        return false;
    };
    keyring.verify_mac(Purpose::Bodies, key, &framed(plain, bound), &code)
}

/// With the length of what comes first, so that no two pairs are the same bytes.
fn framed(plain: &[u8], bound: &[u8]) -> Vec<u8> {
    let length = u64::try_from(bound.len()).unwrap_or(u64::MAX).to_be_bytes();
    [b"digest".as_slice(), &length, bound, plain].concat()
}

#[cfg(test)]
mod tests {
    use egov_clock::ManualClock;
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_sealed_with_the_key_of_answers_still_opens_and_new_bodies_outlive_a_rotation_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at("2026-11-23T01:00:00Z".parse::<Timestamp>().unwrap());
        let keyring = Keyring::create_missing(&folder.path().join("keys"), &clock).unwrap();
        let before = keyring.seal(Purpose::Answers, b"before", b"row 1");
        let body = seal(&keyring, b"body", b"row 2");
        assert_eq!(open(&keyring, &before, b"row 1").unwrap(), b"before");
        assert_eq!(open(&keyring, &body, b"row 2").unwrap(), b"body");
        assert!(open(&keyring, &body, b"row 1").is_err());

        keyring
            .rotate(Purpose::Answers, SignedDuration::from_hours(24 * 31), &clock)
            .unwrap();
        keyring
            .rotate(Purpose::Bodies, SignedDuration::from_hours(24 * 4015), &clock)
            .unwrap();
        clock.advance(SignedDuration::from_hours(24 * 3650));
        keyring.reload(&clock).unwrap();
        assert_eq!(open(&keyring, &body, b"row 2").unwrap(), b"body", "ten years later");
        assert!(matches!(
            open(&keyring, &before, b"row 1"),
            Err(KeyringError::UnknownKey { .. })
        ));
    }

    #[test]
    fn a_digest_is_of_one_content_and_place_and_holds_after_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at("2026-11-23T01:00:00Z".parse::<Timestamp>().unwrap());
        let keyring = Keyring::create_missing(&folder.path().join("keys"), &clock).unwrap();
        let before = digest(&keyring, b"content", b"c");
        keyring
            .rotate(Purpose::Bodies, SignedDuration::from_hours(24 * 4015), &clock)
            .unwrap();
        let after = digest(&keyring, b"content", b"c");
        assert_ne!(before, after, "each by its key");
        for one in [&before, &after] {
            assert!(is_digest_of(&keyring, one, b"content", b"c"));
            assert!(!is_digest_of(&keyring, one, b"ontent", b"cc"), "cut otherwise");
            assert!(!is_digest_of(&Keyring::ephemeral(), one, b"content", b"c"), "keyed");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_digest(text in "\\PC{0,100}") {
            prop_assert!(!is_digest_of(&Keyring::ephemeral(), &text, b"content", b"c"));
        }
    }
}
