//! Tra cứu: the secret that, with the case code, shows the state of a case, and the lock after wrong ones.
//!
//! One live system prints a secret of four characters (facts 1.2); four can be guessed, so ours has eight.

use jiff::{SignedDuration, Timestamp};

/// Length of a look-up secret in characters.
pub const SECRET_LENGTH: usize = 8;

/// Without 0/O, 1/I/L and U/V, which people confuse on paper: 30 characters, so 8 of them hold 39 bits.
const ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Wrong secrets that are forgiven before the code is locked.
const FORGIVEN: i32 = 5;

/// Failures older than this are forgotten.
pub const MEMORY: SignedDuration = SignedDuration::from_hours(24);

/// The longest lock.
const LONGEST: SignedDuration = SignedDuration::from_hours(12);

/// Makes a secret from random bytes. Bytes that would favour some characters are skipped (rejection sampling),
/// therefore `random` is asked again until the secret is full.
pub fn secret(mut random: impl FnMut(&mut [u8])) -> String {
    let usable = u8::MAX - (u8::MAX % ALPHABET.len() as u8);
    let mut secret = String::with_capacity(SECRET_LENGTH);
    while secret.len() < SECRET_LENGTH {
        let mut byte = [0];
        random(&mut byte);
        let [byte] = byte;
        if byte < usable
            && let Some(character) = ALPHABET.get(usize::from(byte) % ALPHABET.len())
        {
            secret.push(char::from(*character));
        }
    }
    secret
}

/// What is kept of the wrong secrets of one case code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Wrong secrets in a row.
    pub failures: i32,
    /// When the last one came.
    pub last_failure: Timestamp,
    /// No attempt is looked at before this instant.
    pub locked_until: Option<Timestamp>,
}

impl Attempts {
    /// How long a caller still has to wait, if the code is locked.
    pub fn locked_for(&self, now: Timestamp) -> Option<SignedDuration> {
        self.locked_until
            .filter(|until| *until > now)
            .map(|until| until.duration_since(now))
    }

    /// The state after one more wrong secret: the sixth locks for a minute, and each further one twice as long.
    #[must_use]
    pub fn after_failure(before: Option<Self>, now: Timestamp) -> Self {
        let remembered = before.filter(|attempts| now.duration_since(attempts.last_failure) < MEMORY);
        let failures = remembered.map_or(0, |attempts| attempts.failures).saturating_add(1);
        let locked_until = (failures > FORGIVEN).then(|| {
            let doublings = u32::try_from(failures - FORGIVEN - 1).unwrap_or(0).min(16);
            let seconds = 60_i64.saturating_mul(1 << doublings);
            let wait = SignedDuration::from_secs(seconds).min(LONGEST);
            now.checked_add(wait).unwrap_or(now)
        });
        Self {
            failures,
            last_failure: now,
            locked_until,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noon() -> Timestamp {
        "2026-11-23T05:00:00Z".parse().unwrap()
    }

    #[test]
    fn five_wrong_secrets_are_forgiven_and_the_sixth_locks_for_a_minute() {
        let mut attempts = None;
        for _ in 0..5 {
            attempts = Some(Attempts::after_failure(attempts, noon()));
            assert_eq!(attempts.unwrap().locked_for(noon()), None);
        }
        let locked = Attempts::after_failure(attempts, noon());
        assert_eq!(locked.locked_for(noon()), Some(SignedDuration::from_secs(60)));
    }

    #[test]
    fn every_further_wrong_secret_doubles_the_lock_up_to_twelve_hours() {
        let mut attempts = Attempts {
            failures: 6,
            last_failure: noon(),
            locked_until: None,
        };
        attempts = Attempts::after_failure(Some(attempts), noon());
        assert_eq!(attempts.locked_for(noon()), Some(SignedDuration::from_secs(120)));
        attempts.failures = 60;
        attempts = Attempts::after_failure(Some(attempts), noon());
        assert_eq!(attempts.locked_for(noon()), Some(SignedDuration::from_hours(12)));
    }

    #[test]
    fn failures_are_forgotten_after_a_day() {
        let old = Attempts {
            failures: 40,
            last_failure: noon(),
            locked_until: None,
        };
        let next_day = noon().checked_add(SignedDuration::from_hours(24)).unwrap();
        assert_eq!(Attempts::after_failure(Some(old), next_day).failures, 1);
    }

    proptest! {
        #[test]
        fn a_secret_has_eight_characters_of_the_alphabet(seed in any::<u64>()) {
            let mut state = seed;
            let secret = secret(|bytes| for byte in bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            });
            prop_assert_eq!(secret.len(), SECRET_LENGTH);
            prop_assert!(secret.bytes().all(|byte| ALPHABET.contains(&byte)));
        }
    }
}
