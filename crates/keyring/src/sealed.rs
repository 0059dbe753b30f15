//! The form of a sealed text.
//!
//! ```text
//! version (1) | length of id (1) | id | salt (16) | nonce (12) | AES-256-GCM ciphertext and tag (n + 16)
//! ```
//!
//! The key of each text is derived from the generation's key and the random salt. Plain AES-GCM with random nonces
//! allows 2^32 texts a key (NIST SP 800-38D section 8.3), which a busy platform reaches with stored answers and page
//! tokens; with a key for each text no count has to be kept. Everything in front of the ciphertext is authenticated
//! together with the caller's own additional data.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::Prk;
use aws_lc_rs::rand;

const VERSION: u8 = 1;
const SALT_LENGTH: usize = 16;

/// A sealed text, taken apart.
pub(crate) struct Sealed<'a> {
    pub(crate) id: &'a str,
    header: &'a [u8],
    salt: &'a [u8; SALT_LENGTH],
    nonce: [u8; NONCE_LEN],
    ciphertext: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Takes a sealed text apart; none if it cannot be one.
    pub(crate) fn parse(sealed: &'a [u8]) -> Option<Self> {
        let (&[VERSION, id_length], rest) = sealed.split_first_chunk()? else {
            return None;
        };
        let (id, rest) = rest.split_at_checked(usize::from(id_length))?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (nonce, ciphertext) = rest.split_first_chunk()?;
        if ciphertext.len() < AES_256_GCM.tag_len() {
            return None;
        }
        Some(Self {
            id: str::from_utf8(id).ok()?,
            header: sealed.get(..sealed.len() - ciphertext.len())?,
            salt,
            nonce: *nonce,
            ciphertext,
        })
    }

    /// Opens it; fails if it or the additional data was altered.
    pub(crate) fn open(&self, key: &Prk, aad: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let key = text_key(key, self.salt)?;
        let mut buffer = self.ciphertext.to_vec();
        let length = key
            .open_in_place(
                Nonce::assume_unique_for_key(self.nonce),
                Aad::from(authenticated(self.header, aad)),
                &mut buffer,
            )?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// Seals a text. Fails only where the library itself fails: no random bytes, or a text beyond 64 GiB.
pub(crate) fn seal(id: &str, key: &Prk, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let id_length = u8::try_from(id.len()).map_err(|_| Unspecified)?;
    let mut salt = [0; SALT_LENGTH];
    rand::fill(&mut salt)?;
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce)?;

    let tag_length = AES_256_GCM.tag_len();
    let header_length = 2 + id.len() + SALT_LENGTH + NONCE_LEN;
    let mut sealed = Vec::with_capacity(header_length + plain.len() + tag_length);
    sealed.extend_from_slice(&[VERSION, id_length]);
    sealed.extend_from_slice(id.as_bytes());
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(&nonce);
    let aad = Aad::from(authenticated(&sealed, aad));
    sealed.extend_from_slice(plain);

    let (_, body) = sealed.split_at_mut_checked(header_length).ok_or(Unspecified)?;
    let tag = text_key(key, &salt)?.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, body)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

fn text_key(key: &Prk, salt: &[u8; SALT_LENGTH]) -> Result<LessSafeKey, Unspecified> {
    let info: [&[u8]; 2] = [b"egov sealed text 1 ", salt];
    let derived = key.expand(&info, &AES_256_GCM)?;
    Ok(LessSafeKey::new(derived.into()))
}

/// The header says its own length, so that header and additional data cannot be shifted into one another.
fn authenticated(header: &[u8], aad: &[u8]) -> Vec<u8> {
    [header, aad].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::hkdf::HKDF_SHA256;

    fn key(byte: u8) -> Prk {
        Prk::new_less_safe(HKDF_SHA256, &[byte; 32])
    }

    #[test]
    fn a_sealed_text_opens_with_its_key_and_additional_data_only() {
        let sealed = seal("k1", &key(1), b"plain", b"aad").unwrap();
        let parsed = Sealed::parse(&sealed).unwrap();
        assert_eq!(parsed.id, "k1");
        assert_eq!(parsed.open(&key(1), b"aad").unwrap(), b"plain");
        assert!(parsed.open(&key(2), b"aad").is_err());
        assert!(parsed.open(&key(1), b"AAD").is_err());
    }

    #[test]
    fn no_bit_of_a_sealed_text_can_be_changed() {
        let sealed = seal("k1", &key(1), b"plain", b"aad").unwrap();
        for place in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[place / 8] ^= 1 << (place % 8);
            let opened = Sealed::parse(&altered).map(|parsed| parsed.open(&key(1), b"aad"));
            assert!(!matches!(opened, Some(Ok(_))), "bit {place} was changed");
        }
    }

    #[test]
    fn no_part_of_a_sealed_text_can_be_cut_off_or_moved_into_the_additional_data() {
        let sealed = seal("k1", &key(1), b"plain", b"aad").unwrap();
        for length in 0..sealed.len() {
            let opened = Sealed::parse(&sealed[..length]).map(|parsed| parsed.open(&key(1), b"aad"));
            assert!(!matches!(opened, Some(Ok(_))), "cut to {length} bytes");
        }
        let longer = [sealed.as_slice(), b"x"].concat();
        assert!(Sealed::parse(&longer).unwrap().open(&key(1), b"aad").is_err());
    }

    #[test]
    fn an_empty_text_is_sealed_too_and_no_two_sealed_texts_are_equal() {
        let one = seal("k1", &key(1), b"", b"").unwrap();
        let two = seal("k1", &key(1), b"", b"").unwrap();
        assert_ne!(one, two);
        assert_eq!(Sealed::parse(&one).unwrap().open(&key(1), b"").unwrap(), b"");
    }
}
