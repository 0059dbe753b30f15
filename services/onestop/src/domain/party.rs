//! Chủ hồ sơ và người nộp: the people and organisations of a case.

use serde::{Deserialize, Serialize};

/// Loại đối tượng.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyKind {
    /// Công dân.
    Citizen,
    /// Doanh nghiệp, tổ chức.
    Organisation,
}

/// The owner of a case (chủ hồ sơ) or the one who submits it (người nộp hồ sơ); they may be two people.
///
/// `Debug` shows the kind only: a party in a log would be personal data in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Loại đối tượng.
    pub kind: PartyKind,
    /// Họ và tên or the organisation's name, in NFC with single spaces.
    pub full_name: String,
    /// Số định danh cá nhân, 12 digits; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub personal_number: String,
    /// Mã số of the organisation; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub organisation_number: String,
    /// Số điện thoại, normalised to 84…; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// Thư điện tử; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// Địa chỉ; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
}

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Party")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Party {
    /// The words by which the party's case is found: the name's words without diacritics and the numbers.
    pub fn search_tokens(&self) -> Vec<String> {
        let mut tokens = words(&self.full_name);
        for number in [&self.personal_number, &self.organisation_number, &self.phone] {
            tokens.extend(words(number));
        }
        tokens.sort();
        tokens.dedup();
        tokens
    }
}

/// Splits a text into the words of a search: without diacritics, lower case, letters and digits only.
///
/// The same function makes the tokens that are stored and those that are searched for.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = egov_codes::fold(text)
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.sort();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn citizen(name: &str) -> Party {
        Party {
            kind: PartyKind::Citizen,
            full_name: name.to_owned(),
            personal_number: "040190000123".to_owned(),
            organisation_number: String::new(),
            phone: String::new(),
            email: String::new(),
            address: String::new(),
        }
    }

    #[test]
    fn a_name_is_found_without_its_diacritics() {
        assert_eq!(
            citizen("Đặng  Thị Ngọc-Ánh").search_tokens(),
            ["040190000123", "anh", "dang", "ngoc", "thi"]
        );
    }

    #[test]
    fn a_query_and_a_name_meet_in_the_same_words() {
        assert_eq!(words("NGUYEN van hoà"), words("Nguyễn Văn Hòa"));
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let shown = format!("{:?}", citizen("Nguyễn Văn A"));
        assert!(!shown.contains("Nguyễn") && !shown.contains("0401"), "{shown}");
    }
}
