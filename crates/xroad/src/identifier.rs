//! Identifiers of members, subsystems and services.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stays as it is in a part: the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest part, in bytes after decoding: that of X-Road's own database.
const LONGEST: usize = 255;

/// Why a text is no identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Not as many parts as it needs.
    #[error("{found} parts where {wanted} are needed")]
    Parts {
        /// How many there are.
        found: usize,
        /// How many there must be, in words.
        wanted: &'static str,
    },
    /// A part is empty, too long, not UTF-8, or has a character that X-Road forbids (PR-REST 4.8).
    #[error("part {0} is empty, longer than 255 bytes, or has a character that an identifier may not have")]
    Part(usize),
}

/// Whether X-Road forbids the character in an identifier: what could end a part, hide in a path, or cannot be seen.
fn forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character, ':' | ';' | '/' | '\\' | '%')
        || matches!(character, '\u{200b}' | '\u{feff}')
}

/// Decodes a part of an identifier; `place` is counted from 1.
fn decode(part: &str, place: usize) -> Result<String, IdentifierError> {
    let text = percent_decode_str(part)
        .decode_utf8()
        .map_err(|_| IdentifierError::Part(place))?;
    let unusable = text.is_empty()
        || text.len() > LONGEST
        || text.chars().any(forbidden)
        // Part of a path that something behind us could walk.
        || text == "."
        || text == "..";
    if unusable {
        return Err(IdentifierError::Part(place));
    }
    Ok(text.into_owned())
}

/// Whether a text names a member by its class and code, or by its code alone, as `X-Road-Represented-Party` does.
pub(crate) fn is_party(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let mut placed = parts.iter().zip(1..);
    parts.len() <= 2 && placed.all(|(part, place)| decode(part, place).is_ok())
}

/// A member or one of its subsystems: who calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId {
    /// The X-Road instance, `VN`.
    pub instance: String,
    /// The class of the member, `GOV`.
    pub member_class: String,
    /// The code of the member; here the code of an agency (mã định danh).
    pub member_code: String,
    /// The subsystem, if the client is one.
    pub subsystem: Option<String>,
}

/// A service of a subsystem: what is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId {
    /// The X-Road instance.
    pub instance: String,
    /// The class of the member that provides it.
    pub member_class: String,
    /// The code of that member.
    pub member_code: String,
    /// The subsystem that provides it.
    pub subsystem: String,
    /// The code of the service.
    pub service: String,
}

impl ServiceId {
    /// Reads the five parts, still encoded.
    pub(crate) fn of_parts(parts: [&str; 5]) -> Result<Self, IdentifierError> {
        let [instance, member_class, member_code, subsystem, service] = parts;
        Ok(Self {
            instance: decode(instance, 1)?,
            member_class: decode(member_class, 2)?,
            member_code: decode(member_code, 3)?,
            subsystem: decode(subsystem, 4)?,
            service: decode(service, 5)?,
        })
    }

    /// The subsystem that provides the service.
    pub fn provider(&self) -> ClientId {
        ClientId {
            instance: self.instance.clone(),
            member_class: self.member_class.clone(),
            member_code: self.member_code.clone(),
            subsystem: Some(self.subsystem.clone()),
        }
    }
}

impl FromStr for ClientId {
    type Err = IdentifierError;

    /// Reads the value of the header `X-Road-Client`: three or four parts, each percent-encoded.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let (instance, member_class, member_code, subsystem) = match parts.as_slice() {
            [instance, class, code] => (instance, class, code, None),
            [instance, class, code, subsystem] => (instance, class, code, Some(decode(subsystem, 4)?)),
            other => {
                return Err(IdentifierError::Parts {
                    found: other.len(),
                    wanted: "3 or 4",
                });
            }
        };
        Ok(Self {
            instance: decode(instance, 1)?,
            member_class: decode(member_class, 2)?,
            member_code: decode(member_code, 3)?,
            subsystem,
        })
    }
}

impl FromStr for ServiceId {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let parts = <[&str; 5]>::try_from(parts).map_err(|parts| IdentifierError::Parts {
            found: parts.len(),
            wanted: "5",
        })?;
        Self::of_parts(parts)
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[&str]) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_str("/")?;
        }
        write!(f, "{}", utf8_percent_encode(part, ENCODED))?;
    }
    Ok(())
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![
            self.instance.as_str(),
            self.member_class.as_str(),
            self.member_code.as_str(),
        ];
        parts.extend(self.subsystem.as_deref());
        join(f, &parts)
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(
            f,
            &[
                &self.instance,
                &self.member_class,
                &self.member_code,
                &self.subsystem,
                &self.service,
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_client_may_be_a_member_or_a_subsystem() {
        let member: ClientId = "VN/GOV/H41".parse().unwrap();
        assert_eq!(member.subsystem, None);
        let system: ClientId = "VN/GOV/H41/m%E1%BB%99t%20c%E1%BB%ADa".parse().unwrap();
        assert_eq!(system.subsystem.as_deref(), Some("một cửa"));
        assert_eq!(system.to_string(), "VN/GOV/H41/m%E1%BB%99t%20c%E1%BB%ADa");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "VN/GOV",
            "VN/GOV/H41/a/b",
            "VN//H41",
            "VN/GOV/../x",
            "VN/GOV/%2e%2e",
            "VN/GOV/a%2Fb",
            "VN/GOV/a%5Cb",
            "VN/GOV/a%00b",
            "VN/GOV/%FF",
            "VN/GOV/a:b",
            "VN/GOV/a;b",
            "VN/GOV/a%25b",
        ] {
            assert!(text.parse::<ClientId>().is_err(), "{text}");
        }
        assert!("VN/GOV/H41/s".parse::<ServiceId>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_prints_as_itself(text in ".{0,60}") {
            if let Ok(id) = text.parse::<ClientId>() {
                prop_assert_eq!(id.to_string().parse::<ClientId>(), Ok(id));
            }
            if let Ok(id) = text.parse::<ServiceId>() {
                prop_assert_eq!(id.to_string().parse::<ServiceId>(), Ok(id));
            }
        }

        #[test]
        fn five_parts_of_letters_and_marks_are_an_identifier(parts in prop::array::uniform5("[A-Za-zÀ-ỹ0-9 ._~-]{1,12}")) {
            prop_assume!(parts.iter().all(|part| part != "." && part != ".."));
            let [instance, member_class, member_code, subsystem, service] = parts;
            let id = ServiceId { instance, member_class, member_code, subsystem, service };
            prop_assert_eq!(id.to_string().parse::<ServiceId>(), Ok(id));
        }
    }
}
