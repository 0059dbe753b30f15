//! Formats of the field of law, which are more than a pattern: personal number, case code, procedure code.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Says what is wrong with a text, in Vietnamese and in English.
pub type FormatCheck = Arc<dyn Fn(&str) -> Result<(), (String, String)> + Send + Sync>;

/// The checks behind the names that contracts use in `egov.options.v1.format`.
///
/// [`Formats::of_law`] has those of the platform; another contract brings its own:
/// ```
/// use egov_runtime::contract::Formats;
///
/// let formats = Formats::new().with("PERSONAL_NUMBER", |text| {
///     if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
///         Ok(())
///     } else {
///         Err(("số định danh cá nhân gồm 12 chữ số".into(), "a personal number has 12 digits".into()))
///     }
/// });
/// assert!(formats.knows("PERSONAL_NUMBER"));
/// ```
#[derive(Clone, Default)]
pub struct Formats(BTreeMap<String, FormatCheck>);

impl Formats {
    /// No format.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the check for `name`, which is the value of `egov.options.v1.Format` without its prefix. A second check
    /// under one name replaces the first.
    ///
    /// The check sees only texts that are not empty: whether a field may be empty is for `required` or `min_len`.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        check: impl Fn(&str) -> Result<(), (String, String)> + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(name.to_owned(), Arc::new(check));
        self
    }

    /// The checks for all formats that the platform's contracts name (`egov.options.v1.Format`): the legal identifiers of
    /// [`egov_codes`].
    pub fn of_law() -> Self {
        fn check<T: FromStr<Err = egov_codes::CodeError>>(text: &str) -> Result<(), (String, String)> {
            text.parse::<T>()
                .map(drop)
                .map_err(|error| (error.vi().to_owned(), error.en().to_owned()))
        }
        Self::new()
            .with("PROCEDURE_CODE", check::<egov_codes::ProcedureCode>)
            .with("PERSONAL_NUMBER", check::<egov_codes::PersonalNumber>)
            .with("PHONE", check::<egov_codes::PhoneNumber>)
            .with("CASE_CODE", check::<egov_codes::CaseCode>)
            .with("AGENCY_CODE", check::<egov_codes::AgencyCode>)
    }

    /// Whether there is a check for `name`.
    pub fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&FormatCheck> {
        self.0.get(name)
    }
}

impl fmt::Debug for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
