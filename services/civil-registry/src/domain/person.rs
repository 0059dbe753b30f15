//! Người: what civil status knows of one, and what it must look like.
//!
//! Nothing here shows a person in `Debug`: what is logged is no personal data.

use std::collections::BTreeMap;
use std::fmt;

use egov_codes::{LegacyIdNumber, PersonalNumber, normal_name};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::finding::Violation;

/// Giới tính, with the codes of the national digitisation schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// Nam.
    Male,
    /// Nữ.
    Female,
    /// Chưa xác định.
    Undetermined,
}

impl Sex {
    /// All.
    pub const ALL: [Self; 3] = [Self::Male, Self::Female, Self::Undetermined];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Male => 1,
            Self::Female => 2,
            Self::Undetermined => 3,
        }
    }

    /// The sex that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|sex| sex.code() == code)
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::Male => "nam",
            Self::Female => "nữ",
            Self::Undetermined => "chưa xác định",
        }
    }

    /// In English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Male => "male",
            Self::Female => "female",
            Self::Undetermined => "not determined",
        }
    }

    /// As a personal number tells it; none while it is not determined.
    pub const fn told(self) -> Option<egov_codes::Sex> {
        match self {
            Self::Male => Some(egov_codes::Sex::Male),
            Self::Female => Some(egov_codes::Sex::Female),
            Self::Undetermined => None,
        }
    }
}

/// Ngày, tháng, năm sinh, as far as it is known. Stored as `1950`, `1950-05` or `1950-05-12`.
///
/// `Debug` shows none of it: it is personal data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Born(Known);

/// What is known of a birth. Private, so that no 13th month is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Known {
    Year(i16),
    Month(i16, i8),
    Day(Date),
}

/// What is no day, month or year of the calendar in which somebody in a book may have been born.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no day, month or year of birth")]
pub struct NoBirth;

impl Born {
    /// The first year that is taken: nobody in the books was born before.
    pub const FIRST_YEAR: i16 = 1800;

    /// A day.
    ///
    /// # Errors
    /// Before [`Self::FIRST_YEAR`].
    pub fn on(day: Date) -> Result<Self, NoBirth> {
        Self::checked(Known::Day(day))
    }

    /// A year alone.
    ///
    /// # Errors
    /// Before [`Self::FIRST_YEAR`], or no year of the calendar.
    pub fn in_year(year: i16) -> Result<Self, NoBirth> {
        Self::checked(Known::Year(year))
    }

    /// A month of a year.
    ///
    /// # Errors
    /// Before [`Self::FIRST_YEAR`], or no month of the calendar.
    pub fn in_month(year: i16, month: i8) -> Result<Self, NoBirth> {
        Self::checked(Known::Month(year, month))
    }

    /// A birth of numbers as contracts keep them, in which the day, or day and month, are 0 where they are not known. None if it is no day,
    /// month or year of the calendar, or before [`Self::FIRST_YEAR`].
    pub fn of_numbers(year: i32, month: i32, day: i32) -> Option<Self> {
        let year = i16::try_from(year).ok()?;
        let month = i8::try_from(month).ok()?;
        let day = i8::try_from(day).ok()?;
        match (month, day) {
            (0, 0) => Self::in_year(year).ok(),
            (_, 0) => Self::in_month(year, month).ok(),
            _ => Self::on(Date::new(year, month, day).ok()?).ok(),
        }
    }

    fn checked(known: Known) -> Result<Self, NoBirth> {
        let (year, month) = match known {
            Known::Year(year) => (year, 1),
            Known::Month(year, month) => (year, month),
            Known::Day(day) => (day.year(), day.month()),
        };
        if year < Self::FIRST_YEAR || Date::new(year, month, 1).is_err() {
            return Err(NoBirth);
        }
        Ok(Self(known))
    }

    /// Year, month, day; 0 where they are not known.
    pub fn numbers(self) -> (i32, i32, i32) {
        let (year, month, day) = self.parts();
        (
            year.into(),
            month.unwrap_or_default().into(),
            day.unwrap_or_default().into(),
        )
    }

    /// Year, month and day, as a store keeps them.
    pub fn parts(self) -> (i16, Option<i16>, Option<i16>) {
        match self.0 {
            Known::Year(year) => (year, None, None),
            Known::Month(year, month) => (year, Some(month.into()), None),
            Known::Day(day) => (day.year(), Some(day.month().into()), Some(day.day().into())),
        }
    }

    /// The year, which is always known.
    pub fn year(self) -> i16 {
        self.parts().0
    }

    /// The day, if it is known.
    pub fn day(self) -> Option<Date> {
        match self.0 {
            Known::Day(day) => Some(day),
            Known::Year(_) | Known::Month(..) => None,
        }
    }

    /// The first day on which the birth may have been.
    pub fn earliest(self) -> Date {
        // `checked` has seen that the day exists.
        match self.0 {
            Known::Year(year) => Date::new(year, 1, 1).unwrap_or(Date::MIN),
            Known::Month(year, month) => Date::new(year, month, 1).unwrap_or(Date::MIN),
            Known::Day(day) => day,
        }
    }

    /// The last day on which the birth may have been.
    pub fn latest(self) -> Date {
        match self.0 {
            Known::Year(year) => Date::new(year, 12, 31).unwrap_or(Date::MAX),
            Known::Month(..) => self.earliest().last_of_month(),
            Known::Day(day) => day,
        }
    }

    /// True if the birth cannot have been by the end of this day.
    pub fn is_after(self, day: Date) -> bool {
        self.earliest() > day
    }

    /// True if the two may be the same day.
    pub fn may_equal(self, other: Self) -> bool {
        self.earliest() <= other.latest() && other.earliest() <= self.latest()
    }
}

impl fmt::Debug for Born {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Born")
    }
}

impl From<Born> for String {
    fn from(born: Born) -> Self {
        match born.0 {
            Known::Year(year) => format!("{year:04}"),
            Known::Month(year, month) => format!("{year:04}-{month:02}"),
            Known::Day(day) => day.to_string(),
        }
    }
}

impl TryFrom<String> for Born {
    type Error = NoBirth;

    fn try_from(text: String) -> Result<Self, NoBirth> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match (text.len(), text.split_once('-')) {
            (4, None) if digits(&text) => Self::in_year(text.parse().map_err(|_| NoBirth)?),
            (7, Some((year, month))) if digits(year) && digits(month) => {
                Self::in_month(year.parse().map_err(|_| NoBirth)?, month.parse().map_err(|_| NoBirth)?)
            }
            (10, _) => Self::on(text.parse().map_err(|_| NoBirth)?),
            _ => Err(NoBirth),
        }
    }
}

/// Họ, chữ đệm, tên: NFC, one space between words, letters and the few signs that names are written with.
///
/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PersonName(String);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoName {
    /// Nothing in it.
    #[error("a name is missing")]
    Empty,
    /// Longer than any name.
    #[error("a name has at most {} characters", PersonName::LONGEST)]
    TooLong,
    /// Digits or signs.
    #[error("a name consists of letters, spaces, apostrophes, hyphens and full stops")]
    Characters,
}

impl NoName {
    /// The rule, a word that stays the same.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "name_missing",
            Self::TooLong => "name_too_long",
            Self::Characters => "name_characters",
        }
    }

    /// In Vietnamese.
    pub fn vi(self) -> String {
        match self {
            Self::Empty => "thiếu họ, chữ đệm, tên".to_owned(),
            Self::TooLong => format!("họ, chữ đệm, tên dài quá {} ký tự", PersonName::LONGEST),
            Self::Characters => {
                "họ, chữ đệm, tên chỉ gồm chữ cái, dấu cách, dấu nháy, dấu gạch nối và dấu chấm".to_owned()
            }
        }
    }
}

impl PersonName {
    /// The most characters of a name.
    pub const LONGEST: usize = 200;

    /// Reads a name as somebody wrote it.
    ///
    /// # Errors
    /// [`NoName`]. Names of foreigners are taken in whatever letters they are written.
    pub fn read(text: &str) -> Result<Self, NoName> {
        let name = normal_name(text);
        if name.is_empty() {
            return Err(NoName::Empty);
        }
        if name.chars().count() > Self::LONGEST {
            return Err(NoName::TooLong);
        }
        let is_sign = |character: char| matches!(character, ' ' | '\'' | '’' | '-' | '.');
        let is_letter =
            |character: char| character.is_alphabetic() || unicode_normalization::char::is_combining_mark(character);
        if !name.chars().all(|character| is_letter(character) || is_sign(character))
            || !name.chars().any(char::is_alphabetic)
        {
            return Err(NoName::Characters);
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Họ: the first word.
    pub fn surname(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// Tên: the last word.
    pub fn given(&self) -> &str {
        self.0.rsplit(' ').next().unwrap_or_default()
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName")
    }
}

impl From<PersonName> for String {
    fn from(name: PersonName) -> Self {
        name.0
    }
}

impl TryFrom<String> for PersonName {
    type Error = NoName;

    fn try_from(text: String) -> Result<Self, NoName> {
        Self::read(&text)
    }
}

/// Danh mục dân tộc: the codes with their names, as a pack has them (`deploy/packs/ethnic_groups.csv`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EthnicGroups(BTreeMap<String, String>);

/// Why a list of ethnic groups is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EthnicGroupsError {
    /// The first line is not `code,name`.
    #[error("the first line is code,name")]
    Heading,
    /// A line that is not a code of two digits and a name.
    #[error("line {0}: a code of two digits, a comma and a name")]
    Line(usize),
    /// The same code twice.
    #[error("line {0}: the code occurs before")]
    Twice(usize),
}

impl EthnicGroups {
    /// Reads the list.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn from_text(text: &str) -> Result<Self, EthnicGroupsError> {
        let mut lines = text.lines().zip(1..);
        if lines.next().is_none_or(|(line, _)| line.trim() != "code,name") {
            return Err(EthnicGroupsError::Heading);
        }
        let mut groups = BTreeMap::new();
        for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
            let wrong = EthnicGroupsError::Line(number);
            let (code, name) = line.trim_end().split_once(',').ok_or(wrong)?;
            let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_digit());
            if !is_code || name.trim().is_empty() || name.contains([',', '"']) {
                return Err(wrong);
            }
            if groups.insert(code.to_owned(), name.trim().to_owned()).is_some() {
                return Err(EthnicGroupsError::Twice(number));
            }
        }
        Ok(Self(groups))
    }

    /// The group with this code.
    pub fn find(&self, code: &str) -> Option<EthnicGroup> {
        self.0.contains_key(code).then(|| EthnicGroup(code.to_owned()))
    }

    /// What a group is called.
    pub fn name(&self, group: &EthnicGroup) -> Option<&str> {
        self.0.get(&group.0).map(String::as_str)
    }

    /// All, in the order of their codes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(code, name)| (code.as_str(), name.as_str()))
    }
}

/// Dân tộc: a code of the list. Sensitive: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EthnicGroup(String);

impl EthnicGroup {
    /// Its code.
    pub fn code(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EthnicGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EthnicGroup")
    }
}

/// Quốc gia: ISO 3166-1 alpha-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Country(&'static str);

/// What is no code of ISO 3166-1 alpha-2 that is officially assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no country of ISO 3166-1 alpha-2")]
pub struct NoCountry;

impl Country {
    /// Việt Nam.
    pub const VIET_NAM: Self = Self("VN");

    /// The country with this code, in capitals.
    ///
    /// # Errors
    /// No code that is assigned.
    pub fn read(code: &str) -> Result<Self, NoCountry> {
        COUNTRIES
            .binary_search(&code)
            .ok()
            .and_then(|place| COUNTRIES.get(place).copied())
            .map(Self)
            .ok_or(NoCountry)
    }

    /// Its code.
    pub const fn code(self) -> &'static str {
        self.0
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.0.to_owned()
    }
}

// By hand: derived, it would want to borrow the code for ever from what is read.
impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// ISO 3166-1 alpha-2, the codes that are officially assigned, in their order.
#[rustfmt::skip]
static COUNTRIES: [&str; 249] = [
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ", "BA", "BB", "BD",
    "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV", "BW", "BY", "BZ", "CA",
    "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE",
    "DJ", "DK", "DM", "DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA",
    "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK",
    "HM", "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP",
    "KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK", "LR", "LS", "LT",
    "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS",
    "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU", "NZ",
    "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS",
    "RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS", "ST",
    "SV", "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR", "TT", "TV", "TW",
    "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI", "VN", "VU", "WF", "WS", "YE", "YT", "ZA",
    "ZM", "ZW",
];

/// Loại cư trú, with the codes of the national digitisation schema; none (0) is no information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResidenceKind {
    /// Thường trú.
    Permanent,
    /// Tạm trú.
    Temporary,
}

impl ResidenceKind {
    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Permanent => 1,
            Self::Temporary => 2,
        }
    }

    /// The kind that a code names; none for 0, and for a code that does not exist.
    pub fn of_code(code: i16) -> Option<Self> {
        [Self::Permanent, Self::Temporary]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// Loại giấy tờ tuỳ thân, with the codes of the national digitisation schema; none (0, trống) is no paper. The identity card of Luật Căn cước
/// 26/2023/QH15 has no code there yet: 9 is ours (unconfirmed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityPaperKind {
    /// Chứng minh nhân dân.
    OldIdentityCard,
    /// Hộ chiếu.
    Passport,
    /// Thẻ thường trú.
    PermanentResidenceCard,
    /// Căn cước công dân.
    CitizenIdentityCard,
    /// Chứng minh quân đội nhân dân.
    Army,
    /// Chứng minh sĩ quan.
    Officer,
    /// Chứng minh công an nhân dân.
    Police,
    /// Giấy tờ khác.
    Other,
    /// Thẻ căn cước.
    IdentityCard,
}

impl IdentityPaperKind {
    /// All, by code.
    pub const ALL: [Self; 9] = [
        Self::OldIdentityCard,
        Self::Passport,
        Self::PermanentResidenceCard,
        Self::CitizenIdentityCard,
        Self::Army,
        Self::Officer,
        Self::Police,
        Self::Other,
        Self::IdentityCard,
    ];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::OldIdentityCard => 1,
            Self::Passport => 2,
            Self::PermanentResidenceCard => 3,
            Self::CitizenIdentityCard => 4,
            Self::Army => 5,
            Self::Officer => 6,
            Self::Police => 7,
            Self::Other => 8,
            Self::IdentityCard => 9,
        }
    }

    /// The kind that a code names; none for 0, and for a code that does not exist.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::OldIdentityCard => "chứng minh nhân dân",
            Self::Passport => "hộ chiếu",
            Self::PermanentResidenceCard => "thẻ thường trú",
            Self::CitizenIdentityCard => "căn cước công dân",
            Self::Army => "chứng minh quân đội nhân dân",
            Self::Officer => "chứng minh sĩ quan",
            Self::Police => "chứng minh công an nhân dân",
            Self::Other => "giấy tờ khác",
            Self::IdentityCard => "thẻ căn cước",
        }
    }

    /// In English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::OldIdentityCard => "old identity card",
            Self::Passport => "passport",
            Self::PermanentResidenceCard => "permanent residence card",
            Self::CitizenIdentityCard => "citizen identity card",
            Self::Army => "army identity card",
            Self::Officer => "officer's identity card",
            Self::Police => "police identity card",
            Self::Other => "other paper",
            Self::IdentityCard => "identity card",
        }
    }
}

/// Giấy tờ tuỳ thân. `Debug` shows its kind only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityPaper {
    /// Loại giấy tờ.
    pub kind: IdentityPaperKind,
    /// Tên giấy tờ, if it is another one; else empty.
    pub other_name: String,
    /// Số giấy tờ.
    pub number: String,
    /// Ngày cấp.
    pub issue_date: Option<Date>,
    /// Nơi cấp; empty if it is not known.
    pub issue_place: String,
}

impl fmt::Debug for IdentityPaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityPaper")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl IdentityPaper {
    /// The most characters of a number that is not of the identity cards.
    pub const LONGEST_NUMBER: usize = 50;

    /// What is wrong with it: every violation. `field` is where it stands, for example `mother.paper`.
    pub fn violations(&self, field: &str, today: Date) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut wrong = |code, part: &str, vi: &str, en: &str| {
            found.push(Violation::of_shape(code, format!("{field}.{part}"), vi, en));
        };
        match self.kind {
            IdentityPaperKind::CitizenIdentityCard | IdentityPaperKind::IdentityCard => {
                if self.number.parse::<PersonalNumber>().is_err() {
                    wrong(
                        "paper_number",
                        "number",
                        "số căn cước phải gồm đúng 12 chữ số",
                        "the number of an identity card has exactly 12 digits",
                    );
                }
            }
            // Of the last ones (from 2012) the number has twelve digits, which the holder keeps (unconfirmed).
            IdentityPaperKind::OldIdentityCard => {
                if self.number.parse::<LegacyIdNumber>().is_err() && self.number.parse::<PersonalNumber>().is_err() {
                    wrong(
                        "paper_number",
                        "number",
                        "số chứng minh nhân dân phải gồm đúng 9 hoặc 12 chữ số",
                        "the number of an old identity card has exactly 9 or 12 digits",
                    );
                }
            }
            IdentityPaperKind::Passport
            | IdentityPaperKind::PermanentResidenceCard
            | IdentityPaperKind::Army
            | IdentityPaperKind::Officer
            | IdentityPaperKind::Police
            | IdentityPaperKind::Other => {
                let is_sign = |character: char| matches!(character, '-' | '/' | '.' | ' ');
                let length = self.number.chars().count();
                if self.number.trim() != self.number
                    || !(1..=Self::LONGEST_NUMBER).contains(&length)
                    || !self.number.chars().any(char::is_alphanumeric)
                    || !self
                        .number
                        .chars()
                        .all(|character| character.is_alphanumeric() || is_sign(character))
                {
                    wrong(
                        "paper_number",
                        "number",
                        "số giấy tờ gồm 1 đến 50 chữ cái, chữ số, dấu gạch, dấu chấm",
                        "the number of a paper has 1 to 50 letters, digits, dashes, full stops",
                    );
                }
            }
        }
        let is_other = self.kind == IdentityPaperKind::Other;
        if is_other && self.other_name.trim().is_empty() {
            wrong(
                "paper_other_name",
                "other_name",
                "giấy tờ khác phải ghi rõ là giấy tờ gì",
                "another paper is named",
            );
        }
        if !is_other && !self.other_name.is_empty() {
            wrong(
                "paper_other_name",
                "other_name",
                "chỉ ghi tên giấy tờ khi là giấy tờ khác",
                "only another paper has a name of its own",
            );
        }
        if self.issue_date.is_some_and(|issued| issued > today) {
            wrong(
                "paper_issue_date",
                "issue_date",
                "ngày cấp không được sau ngày hôm nay",
                "the day of issue is not after today",
            );
        }
        found
    }
}

/// A person as somebody tells of one: nothing of it is checked yet.
#[derive(Clone, Copy)]
pub struct Claimed<'a> {
    /// Họ, chữ đệm, tên.
    pub full_name: &'a str,
    /// Giới tính, its code.
    pub sex: i16,
    /// Year, month and day of birth, 0 where they are not known; absent if nothing is.
    pub born: Option<(i32, i32, i32)>,
    /// Dân tộc, its code; empty if it is not known.
    pub ethnic_group: &'a str,
    /// Quốc tịch, ISO 3166-1 alpha-2; empty if it is not known.
    pub nationality: &'a str,
    /// Quốc tịch khác; empty if there is none.
    pub other_nationality: &'a str,
    /// Số định danh cá nhân; empty if there is none.
    pub personal_number: &'a str,
}

/// What is known of a person. `Debug` shows nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Họ, chữ đệm, tên.
    pub full_name: PersonName,
    /// Giới tính.
    pub sex: Sex,
    /// Ngày, tháng, năm sinh, as far as it is known.
    pub born: Option<Born>,
    /// Dân tộc.
    pub ethnic_group: Option<EthnicGroup>,
    /// Quốc tịch.
    pub nationality: Option<Country>,
    /// Quốc tịch khác.
    pub other_nationality: Option<Country>,
    /// Số định danh cá nhân.
    pub personal_number: Option<PersonalNumber>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").field("sex", &self.sex).finish_non_exhaustive()
    }
}

/// What is wrong with a text that should be a name, as a violation of this field.
///
/// # Errors
/// The one violation.
pub fn name_of(field: &str, text: &str) -> Result<PersonName, Violation> {
    PersonName::read(text).map_err(|no| Violation::of_shape(no.code(), field, no.vi(), no.to_string()))
}

/// A birth of year, month and day, as this field tells it; not after today.
///
/// # Errors
/// The one violation.
pub fn born_of(field: &str, numbers: (i32, i32, i32), today: Date) -> Result<Born, Violation> {
    let (year, month, day) = numbers;
    let born = Born::of_numbers(year, month, day).ok_or_else(|| {
        Violation::of_shape(
            "birth_date",
            field,
            format!(
                "không phải ngày, tháng, năm của lịch, hoặc trước năm {}",
                Born::FIRST_YEAR
            ),
            format!("no day, month or year of the calendar, or before {}", Born::FIRST_YEAR),
        )
    })?;
    if born.is_after(today) {
        return Err(Violation::of_shape(
            "birth_in_future",
            field,
            "ngày sinh không được sau ngày hôm nay",
            "the day of birth is not after today",
        ));
    }
    Ok(born)
}

/// A country of ISO 3166-1 alpha-2, as this field tells it.
///
/// # Errors
/// The one violation.
pub fn country_of(field: &str, code: &str) -> Result<Country, Violation> {
    Country::read(code).map_err(|_| {
        Violation::of_shape(
            "country",
            field,
            "không có quốc gia với mã này trong ISO 3166-1",
            "ISO 3166-1 has no country with this code",
        )
    })
}

impl Person {
    /// Checks what somebody tells of a person. `field` is where it stands, for example `child`.
    ///
    /// # Errors
    /// Every violation.
    pub fn read(
        field: &str,
        claimed: &Claimed<'_>,
        groups: &EthnicGroups,
        today: Date,
    ) -> Result<Self, Vec<Violation>> {
        let mut found = Vec::new();
        let part = |name: &str| format!("{field}.{name}");
        let full_name = kept(&mut found, name_of(&part("full_name"), claimed.full_name));
        let sex = Sex::of_code(claimed.sex).ok_or_else(|| {
            Violation::of_shape(
                "sex",
                part("sex"),
                "giới tính phải là 1 nam, 2 nữ hoặc 3 chưa xác định",
                "the sex is 1 male, 2 female or 3 not determined",
            )
        });
        let sex = kept(&mut found, sex);
        let born = claimed
            .born
            .and_then(|numbers| kept(&mut found, born_of(&part("date_of_birth"), numbers, today)));
        let ethnic_group = given(claimed.ethnic_group).and_then(|code| {
            let group = groups.find(code).ok_or_else(|| {
                Violation::of_shape(
                    "ethnic_group",
                    part("ethnic_group"),
                    "không có dân tộc với mã này trong danh mục",
                    "the list has no ethnic group with this code",
                )
            });
            kept(&mut found, group)
        });
        let nationality =
            given(claimed.nationality).and_then(|code| kept(&mut found, country_of(&part("nationality"), code)));
        let other_nationality = given(claimed.other_nationality)
            .and_then(|code| kept(&mut found, country_of(&part("other_nationality"), code)));
        if other_nationality.is_some() && other_nationality == nationality {
            found.push(Violation::of_shape(
                "nationality_twice",
                part("other_nationality"),
                "quốc tịch khác trùng với quốc tịch",
                "the other nationality is the same as the first",
            ));
        }
        if !claimed.other_nationality.is_empty() && claimed.nationality.is_empty() {
            found.push(Violation::of_shape(
                "nationality_missing",
                part("nationality"),
                "có quốc tịch khác mà thiếu quốc tịch",
                "there is another nationality and no first one",
            ));
        }
        let personal_number = given(claimed.personal_number).and_then(|digits| {
            let number = digits.parse::<PersonalNumber>().map_err(|error| {
                Violation::of_shape("personal_number", part("personal_number"), error.vi(), error.en())
            });
            kept(&mut found, number)
        });
        match (full_name, sex) {
            (Some(full_name), Some(sex)) if found.is_empty() => Ok(Self {
                full_name,
                sex,
                born,
                ethnic_group,
                nationality,
                other_nationality,
                personal_number,
            }),
            _ => Err(found),
        }
    }

    /// Có yếu tố nước ngoài: another nationality than the Vietnamese one, or one beside it.
    pub fn is_foreign(&self) -> bool {
        [self.nationality, self.other_nationality]
            .into_iter()
            .flatten()
            .any(|country| country != Country::VIET_NAM)
    }
}

/// What is not empty.
fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The value, or its violation put with the others.
fn kept<T>(found: &mut Vec<Violation>, read: Result<T, Violation>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(violation) => {
            found.push(violation);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const TODAY: Date = date(2026, 11, 28);

    fn groups() -> EthnicGroups {
        EthnicGroups::from_text(include_str!("../../../../deploy/packs/ethnic_groups.csv")).unwrap()
    }

    const CLAIMED: Claimed<'_> = Claimed {
        full_name: " Nguyễn  Thị Ánh ",
        sex: 2,
        born: Some((2026, 11, 1)),
        ethnic_group: "01",
        nationality: "VN",
        other_nationality: "",
        personal_number: "040326000123",
    };

    #[test]
    fn a_person_is_read_as_told() {
        let person = Person::read("child", &CLAIMED, &groups(), TODAY).unwrap();
        assert_eq!(person.full_name.as_str(), "Nguyễn Thị Ánh");
        assert_eq!(
            (person.full_name.surname(), person.full_name.given()),
            ("Nguyễn", "Ánh")
        );
        assert!(person.sex == Sex::Female && !person.is_foreign());
        let shown = format!("{person:?}");
        assert!(!shown.contains("Nguyễn") && !shown.contains("0403"), "{shown}");
    }

    #[test]
    fn every_violation_is_named_at_once_and_none_repeats_what_was_said() {
        let claimed = Claimed {
            full_name: "Ng0c",
            sex: 0,
            born: Some((2026, 11, 29)),
            ethnic_group: "77",
            nationality: "XX",
            other_nationality: "QQ",
            personal_number: "12345",
        };
        let found = Person::read("mother", &claimed, &groups(), TODAY).unwrap_err();
        let codes: Vec<&str> = found.iter().map(|one| one.code).collect();
        assert_eq!(
            codes,
            [
                "name_characters",
                "sex",
                "birth_in_future",
                "ethnic_group",
                "country",
                "country",
                "personal_number"
            ]
        );
        for one in &found {
            assert!(one.field.starts_with("mother.") && !one.vi.is_empty() && !one.en.is_empty());
            assert!(!one.vi.contains("12345") && !one.en.contains("12345") && !one.en.contains("Ng0c"));
        }
    }

    #[test]
    fn the_list_of_the_product_has_its_groups_and_a_flawed_one_is_refused() {
        let groups = groups();
        assert_eq!(groups.iter().count(), 55);
        let thai = groups.find("03").unwrap();
        assert_eq!(groups.name(&thai), Some("Thái"));
        assert_eq!(groups.find("56"), None);
        for (text, error) in [
            ("name,code\n", EthnicGroupsError::Heading),
            ("code,name\n1,Kinh\n", EthnicGroupsError::Line(2)),
            ("code,name\n01,Kinh\n01,Tày\n", EthnicGroupsError::Twice(3)),
        ] {
            assert_eq!(EthnicGroups::from_text(text), Err(error));
        }
    }

    #[test]
    fn countries_are_those_of_the_standard_in_their_order() {
        assert!(COUNTRIES.is_sorted());
        assert_eq!(Country::read("VN"), Ok(Country::VIET_NAM));
        for none in ["", "vn", "VNM", "UK", "XX"] {
            assert_eq!(Country::read(none), Err(NoCountry), "{none}");
        }
    }

    #[test]
    fn codes_lead_back_to_what_they_name() {
        for kind in IdentityPaperKind::ALL {
            assert_eq!(IdentityPaperKind::of_code(kind.code()), Some(kind));
        }
        for sex in Sex::ALL {
            assert_eq!(Sex::of_code(sex.code()), Some(sex));
        }
        assert_eq!((IdentityPaperKind::of_code(0), ResidenceKind::of_code(0)), (None, None));
        assert_eq!(ResidenceKind::of_code(2), Some(ResidenceKind::Temporary));
    }

    #[test]
    fn each_kind_of_paper_has_its_number() {
        let paper = |kind: IdentityPaperKind, number: &str| IdentityPaper {
            kind,
            other_name: if kind == IdentityPaperKind::Other {
                "giấy thông hành".to_owned()
            } else {
                String::new()
            },
            number: number.to_owned(),
            issue_date: Some(TODAY),
            issue_place: String::new(),
        };
        for (kind, number, is_right) in [
            (IdentityPaperKind::OldIdentityCard, "186123456", true),
            (IdentityPaperKind::OldIdentityCard, "040190000123", true),
            (IdentityPaperKind::OldIdentityCard, "1861234567", false),
            (IdentityPaperKind::CitizenIdentityCard, "186123456", false),
            (IdentityPaperKind::IdentityCard, "040190000123", true),
            (IdentityPaperKind::Passport, "C1234567", true),
            (IdentityPaperKind::Passport, "", false),
            (IdentityPaperKind::Army, "<x>", false),
            (IdentityPaperKind::Other, "12/GTH", true),
        ] {
            let found = paper(kind, number).violations("father.paper", TODAY);
            assert_eq!(found.is_empty(), is_right, "{kind:?} {found:?}");
        }
        let mut wrong = paper(IdentityPaperKind::Other, " ");
        (wrong.other_name, wrong.issue_date) = (String::new(), Some(date(2026, 11, 29)));
        let codes: Vec<&str> = wrong.violations("paper", TODAY).iter().map(|one| one.code).collect();
        assert_eq!(codes, ["paper_number", "paper_other_name", "paper_issue_date"]);
    }

    proptest! {
        /// The slow way: look at every day of the years around.
        #[test]
        fn a_partial_date_holds_the_days_that_agree_with_what_is_known(year in 1899..1905_i16, month in 0..13_i8, day in 0..32_i8) {
            let numbers = (i32::from(year), i32::from(month), i32::from(day));
            let agrees = |candidate: &Date| {
                candidate.year() == year && (month == 0 || candidate.month() == month) && (day == 0 || candidate.day() == day)
            };
            let days: Vec<Date> = date(1898, 1, 1).series(jiff::Span::new().days(1)).take(9 * 366).filter(agrees).collect();
            match Born::of_numbers(numbers.0, numbers.1, numbers.2) {
                Some(born) => {
                    prop_assert_eq!(Some(&born.earliest()), days.first());
                    prop_assert_eq!(Some(&born.latest()), days.last());
                    prop_assert_eq!(born.numbers(), numbers);
                    let text = String::from(born);
                    prop_assert_eq!(Born::try_from(text), Ok(born));
                }
                None => prop_assert!(days.is_empty() || (month == 0 && day != 0)),
            }
        }

        #[test]
        fn no_text_makes_a_reader_fall_over(text in "\\PC{0,40}") {
            if let Ok(name) = PersonName::read(&text) {
                prop_assert_eq!(PersonName::read(name.as_str()), Ok(name.clone()));
            }
            let _ = Born::try_from(text.clone());
            let _ = Country::read(&text);
            let _ = EthnicGroups::from_text(&text);
        }
    }
}
