//! Mã kích hoạt: with it a person takes an account into use that somebody else made.
//!
//! Twenty characters of Crockford's base 32 in groups of four: 100 bits of chance, so nobody guesses one, and no letters that are
//! mistaken for one another on paper. What is typed is forgiven: small letters, missing dashes, `O` for `0`, `I` and `L` for `1`.

use egov_clock::Ids;

/// Crockford's base 32: without I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a code.
const LENGTH: usize = 20;

/// Characters of a group.
const GROUP: usize = 4;

/// A new code, as it is shown.
pub(crate) fn new_code(ids: &dyn Ids) -> String {
    let mut bytes = [0_u8; LENGTH];
    ids.random_bytes(&mut bytes);
    let mut code = String::with_capacity(LENGTH + LENGTH / GROUP);
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 && place % GROUP == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32: every character is equally likely.
        code.push(char::from(
            ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'0'),
        ));
    }
    code
}

/// What was typed as the code that it stands for, without dashes; nothing if it cannot be one.
pub(crate) fn canonical(typed: &str) -> Option<String> {
    let code: Option<String> = typed
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| {
            let c = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            u8::try_from(c)
                .ok()
                .filter(|byte| ALPHABET.contains(byte))
                .map(char::from)
        })
        .collect();
    code.filter(|code| code.len() == LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_clock::{SeededIds, SystemIds};
    use proptest::prelude::*;

    #[test]
    fn a_code_is_five_groups_and_means_what_was_made() {
        let code = new_code(&SeededIds::new(7));
        assert_eq!(code.len(), 24);
        assert_eq!(code.split('-').count(), 5);
        let plain = canonical(&code).unwrap();
        assert_eq!(plain, code.replace('-', ""));
        assert_eq!(canonical(&code.to_lowercase().replace('-', " ")), Some(plain));
        assert_ne!(new_code(&SystemIds::default()), new_code(&SystemIds::default()));
    }

    #[test]
    fn letters_that_are_mistaken_are_forgiven_and_others_are_not() {
        assert_eq!(
            canonical("OOOO-IIII-LLLL-0000-1111").as_deref(),
            Some("00001111111100001111")
        );
        for wrong in [
            "",
            "0000",
            "UUUU-0000-0000-0000-0000",
            "0000-0000-0000-0000-00000",
            "ấ000-0000-0000-0000-000",
        ] {
            assert_eq!(canonical(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_a_code_in_its_canonical_form_or_none(typed in any::<String>()) {
            if let Some(code) = canonical(&typed) {
                prop_assert_eq!(code.len(), LENGTH);
                prop_assert_eq!(canonical(&code), Some(code.clone()));
            }
        }
    }
}
