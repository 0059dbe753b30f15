/// Why a text is not a code of the kind asked for.
///
/// `Display` is the English sentence. The input is not repeated: it may be personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeError {
    kind: &'static str,
    vi: &'static str,
    en: &'static str,
}

impl CodeError {
    pub(crate) const fn new(kind: &'static str, vi: &'static str, en: &'static str) -> Self {
        Self { kind, vi, en }
    }

    /// Which kind of code was expected, e.g. `personal_number`.
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// What is wrong, in Vietnamese.
    pub const fn vi(&self) -> &'static str {
        self.vi
    }

    /// What is wrong, in English.
    pub const fn en(&self) -> &'static str {
        self.en
    }
}

impl std::fmt::Display for CodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.en)
    }
}

impl std::error::Error for CodeError {}
