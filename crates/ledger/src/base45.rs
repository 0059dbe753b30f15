//! Base45 (RFC 9285): bytes in the 45 characters that a QR code stores most densely beside digits.

use crate::error::{LedgerError, malformed};

const ALPHABET: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/// The text of the bytes.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3 / 2 + 2);
    let mut put = |mut value: usize, digits: usize| {
        for _ in 0..digits {
            out.push(ALPHABET.get(value % 45).map_or('0', |byte| char::from(*byte)));
            value /= 45;
        }
    };
    let (pairs, rest) = bytes.as_chunks::<2>();
    for pair in pairs {
        put(usize::from(u16::from_be_bytes(*pair)), 3);
    }
    for byte in rest {
        put(usize::from(*byte), 2);
    }
    out
}

/// The bytes of a text; refuses what no encoder writes.
pub fn decode(text: &str) -> Result<Vec<u8>, LedgerError> {
    let wrong = |problem| malformed("base45 text", problem);
    let mut out = Vec::with_capacity(text.len() * 2 / 3 + 1);
    for group in text.as_bytes().chunks(3) {
        let mut value: u32 = 0;
        for character in group.iter().rev() {
            let digit = ALPHABET
                .iter()
                .position(|known| known == character)
                .and_then(|digit| u32::try_from(digit).ok())
                .ok_or_else(|| wrong("it has a character that base45 has not"))?;
            value = value * 45 + digit;
        }
        let too_large = |_| wrong("a group is too large");
        match group.len() {
            3 => out.extend_from_slice(&u16::try_from(value).map_err(too_large)?.to_be_bytes()),
            2 => out.push(u8::try_from(value).map_err(too_large)?),
            _ => return Err(wrong("its last group has one character")),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_rfc_9285_are_met() {
        assert_eq!(encode(b"AB"), "BB8");
        assert_eq!(encode(b"Hello!!"), "%69 VD92EX0");
        assert_eq!(encode(b"base-45"), "UJCLQE7W581");
        assert_eq!(decode("QED8WEX0"), Ok(b"ietf!".to_vec()));
        assert!(decode("FGW") == Ok(vec![255, 255]) && decode("GGW").is_err() && decode(":::").is_err());
    }

    proptest! {
        #[test]
        fn bytes_are_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn a_text_has_one_meaning_or_none(text in "[0-9A-Z $%*+./:-]{0,60}|.{0,20}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
