//! Values that must not be shown.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A password, key or token of the configuration.
///
/// It has no default other than "not given", `Debug` does not show it, serialisation writes an empty text, and the
/// memory is wiped when it is dropped. In a file or the environment it is given directly or, better, by its `_file`
/// twin.
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// The value, for the one place that hands it over.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether it was not given.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(SecretString::from(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "[not given]" } else { "[secret]" })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Takes texts, and refuses numbers without repeating them as serde's own message would.
struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::from(text))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom("a secret must be a text in quotes"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom("a secret must be a text in quotes"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom("a secret must be a text in quotes"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom("a secret must be a text in quotes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_neither_by_debug_nor_by_serialisation() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"\"");
        assert_eq!(format!("{:?}", Secret::default()), "[not given]");
    }

    #[test]
    fn a_number_is_refused_without_being_repeated() {
        for number in ["12345", "-12345", "1.2345", "true"] {
            let error = serde_json::from_str::<Secret>(number).unwrap_err().to_string();
            assert!(error.contains("in quotes"), "{error}");
            assert!(!error.contains("2345"), "{error}");
        }
    }
}
