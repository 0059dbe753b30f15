//! One-time codes by time (RFC 6238): HMAC-SHA-1, steps of 30 seconds, six digits — what every authenticator
//! application understands.

use aws_lc_rs::hmac;
use jiff::Timestamp;

/// Seconds of a step.
pub const STEP_SECONDS: i64 = 30;

/// How many steps before and after the present one are accepted, for clocks that differ.
pub const TOLERATED_STEPS: i64 = 1;

/// Length of a secret in bytes: that of the hash (RFC 4226, section 4, R6 recommends 160 bits).
pub const SECRET_BYTES: usize = 20;

/// The number of the step in which an instant lies.
pub fn step_at(now: Timestamp) -> i64 {
    now.as_second().div_euclid(STEP_SECONDS)
}

/// The six digits of a step.
pub fn code_at(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    // Dynamic truncation, RFC 4226, section 5.3.
    let offset = usize::from(tag.last().copied().unwrap_or(0) & 0x0f);
    let number = tag
        .iter()
        .skip(offset)
        .take(4)
        .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte))
        & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The step whose code this is, if it is one of the tolerated steps around `now` and later than `last_step`, the latest
/// step of which a code was used. All candidates are compared, each in constant time.
pub fn matching_step(secret: &[u8], code: &str, now: Timestamp, last_step: i64) -> Option<i64> {
    let present = step_at(now);
    let mut found = None;
    for step in present - TOLERATED_STEPS..=present + TOLERATED_STEPS {
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(code_at(secret, step).as_bytes(), code.as_bytes())
            .is_ok();
        if same && step > last_step {
            found = Some(step);
        }
    }
    found
}

/// A secret as authenticator applications take it: base32 (RFC 4648) without padding.
pub fn base32(secret: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut out = String::with_capacity(secret.len().div_ceil(5) * 8);
    for chunk in secret.chunks(5) {
        let mut bits = [0_u8; 8];
        for (to, from) in bits.iter_mut().skip(3).zip(chunk) {
            *to = *from;
        }
        let number = u64::from_be_bytes(bits);
        let symbols = (chunk.len() * 8).div_ceil(5);
        for place in 0..symbols {
            let index = (number >> (35 - 5 * place)) & 31;
            out.push(ALPHABET.get(index as usize).copied().map_or('A', char::from));
        }
    }
    out
}

/// The bytes of a base32 text; spaces, padding and lower case are tolerated, anything else is not.
pub fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for symbol in text.chars().filter(|c| !matches!(c, ' ' | '=')) {
        let value = match symbol.to_ascii_uppercase() {
            letter @ 'A'..='Z' => u32::from(letter) - u32::from('A'),
            digit @ '2'..='7' => u32::from(digit) - u32::from('2') + 26,
            _ => return None,
        };
        held = (held << 5) | value;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_SECRET: &[u8] = b"12345678901234567890";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238_appendix_b() {
        // The table gives eight digits; six are the last six of them.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_at(RFC_SECRET, step_at(at(second))), code);
        }
    }

    #[test]
    fn the_neighbouring_steps_are_accepted_and_no_others() {
        let now = at(1_234_567_890);
        let present = step_at(now);
        for distance in -2..=2 {
            let code = code_at(RFC_SECRET, present + distance);
            let expected = (distance.abs() <= 1).then_some(present + distance);
            assert_eq!(matching_step(RFC_SECRET, &code, now, 0), expected);
        }
    }

    #[test]
    fn a_step_that_was_used_or_passed_over_is_refused() {
        let now = at(1_234_567_890);
        let present = step_at(now);
        let code = code_at(RFC_SECRET, present);
        assert_eq!(matching_step(RFC_SECRET, &code, now, present), None);
        assert_eq!(matching_step(RFC_SECRET, &code, now, present + 1), None);
        assert_eq!(matching_step(RFC_SECRET, &code, now, present - 1), Some(present));
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (plain, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(plain.as_bytes()), text);
            assert_eq!(from_base32(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(from_base32("mzxw 6ytb oi======").as_deref(), Some(&b"foobar"[..]));
        assert_eq!(from_base32("MZXW1"), None);
    }
}
