//! The electronic civil-status register of the Ministry of Justice (CSDL hộ tịch điện tử).
//!
//! The fields of an entry (`so`, `quyenSo`, `trangSo`, `ngayDangKy`, `nks…`) are those of the national digitisation schema;
//! how an entry is sent, and how numbers are issued, was not found: contract `sim-1` of our simulator, **unconfirmed**.

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, Method};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::civil_books::{
    BookEntry, BookListing, BookName, ChangePage, Held, read_book, read_changes, read_entry, read_held,
};
use crate::line::{Answer, Line, Outgoing};
use crate::outcome::{CallError, Doubt, NotSent};

/// What is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationKind {
    /// Khai sinh.
    Birth,
    /// Kết hôn.
    Marriage,
    /// Khai tử.
    Death,
}

impl RegistrationKind {
    /// The word on the wire of `sim-1`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::Marriage => "marriage",
            Self::Death => "death",
        }
    }
}

/// An entry to be registered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Our key of the submission: the same key never makes a second entry.
    pub key: String,
    /// What is registered.
    pub kind: RegistrationKind,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Mã cơ quan đăng ký.
    pub agency_code: String,
    /// Ngày đăng ký, `dd/MM/yyyy` as in the schema's samples: the form is unconfirmed.
    #[serde(rename = "ngayDangKy")]
    pub register_date: String,
    /// The fields of the schema, by their names in it.
    pub fields: serde_json::Map<String, Value>,
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submission")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// An entry as the register has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Our key.
    pub key: String,
    /// What is registered.
    pub kind: RegistrationKind,
    /// Số.
    #[serde(rename = "so")]
    pub number: String,
    /// Quyển số.
    #[serde(rename = "quyenSo")]
    pub book: String,
    /// Trang số.
    #[serde(rename = "trangSo", default)]
    pub page: String,
    /// Số định danh cá nhân that was issued with a birth; empty otherwise.
    #[serde(rename = "soDinhDanh", default)]
    pub personal_number: String,
}

/// The register.
#[async_trait]
pub trait CivilStatusRegister: Send + Sync + 'static {
    /// Submits an entry and gets its number, one try.
    async fn submit(&self, submission: &Submission) -> Result<Entry, CallError>;
    /// The entry under our key; none if there is none. By this an unknown outcome is asked about.
    async fn find(&self, key: &str) -> Result<Option<Entry>, CallError>;
    /// Tells the register an entry of a book as it stands, one try. The same twice is the same; an older version after a newer one changes nothing.
    async fn tell(&self, entry: &BookEntry) -> Result<Held, CallError>;
    /// The entry of a book under our key; none if there is none. By this an unknown outcome is asked about.
    async fn find_told(&self, key: &str) -> Result<Option<BookEntry>, CallError>;
    /// What the register holds of a book.
    async fn list_book(&self, book: &BookName) -> Result<BookListing, CallError>;
    /// The changes that the register learned of after a place, at most so many; from the beginning with an empty one.
    async fn list_changes(&self, cursor: &str, most: u32) -> Result<ChangePage, CallError>;
    /// Whether the register failed so often a moment ago that it is left alone: nothing would be sent now.
    fn is_resting(&self) -> bool;
}

/// Who we are at the register.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CivilStatusAccount {
    /// The bearer token of the simulator's contract.
    pub token: SecretString,
}

/// The register by contract `sim-1`.
#[derive(Debug)]
pub struct SimCivilStatusRegister {
    line: Line,
    account: CivilStatusAccount,
}

impl SimCivilStatusRegister {
    /// Speaks over `line`.
    pub fn new(line: Line, account: CivilStatusAccount) -> Self {
        Self { line, account }
    }

    /// The line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    async fn post(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<Answer, CallError> {
        let mut token = HeaderValue::from_str(&format!("Bearer {}", self.account.token.expose_secret()))
            .map_err(|_| CallError::NotSent(NotSent::Unsendable("a header")))?;
        token.set_sensitive(true);
        let outgoing = Outgoing {
            method: Method::POST,
            path: path.to_owned(),
            headers: vec![(HeaderName::from_static("authorization"), token)],
            content_type: "application/json",
            body: serde_json::to_vec(body).map_err(CallError::unreadable_json)?,
        };
        self.line.once(&outgoing).await?.success()
    }

    /// A question, repeated where it may pass: it changes nothing.
    async fn ask<T: Send>(
        &self,
        path: &str,
        body: &Value,
        read: impl Fn(&Answer) -> Result<T, CallError> + Send + Sync,
    ) -> Result<T, CallError> {
        let mut tries = self.line.tries();
        loop {
            let once = async { self.post(path, body).await.and_then(|answer| read(&answer)) };
            if let Some(result) = tries.attempt(once).await {
                return result;
            }
        }
    }

    async fn look(&self, key: &str, body: &Value) -> Result<Option<Entry>, CallError> {
        let answer = self.post("entries/find", body).await?;
        read_answer(key, None, &answer)
    }
}

/// Reads an answer: the entry under `key`, or none.
pub fn read_answer(key: &str, kind: Option<RegistrationKind>, answer: &Answer) -> Result<Option<Entry>, CallError> {
    #[derive(Deserialize)]
    struct Said {
        code: String,
        entry: Option<Entry>,
    }
    let said: Said = serde_json::from_slice(&answer.body).map_err(CallError::unreadable_json)?;
    match (said.code.as_str(), said.entry) {
        ("ok", Some(entry)) if entry.key != key || kind.is_some_and(|kind| kind != entry.kind) => {
            Err(CallError::Unknown(Doubt::Other("entry")))
        }
        ("ok", Some(entry)) if entry.number.is_empty() => Err(CallError::unreadable("an entry without a number")),
        ("ok", Some(entry)) => Ok(Some(entry)),
        ("none", None) => Ok(None),
        ("refused", _) => Err(CallError::refused("refused", "")),
        (code, _) => Err(CallError::Unknown(Doubt::UnknownCode(code.chars().take(20).collect()))),
    }
}

#[async_trait]
impl CivilStatusRegister for SimCivilStatusRegister {
    async fn submit(&self, submission: &Submission) -> Result<Entry, CallError> {
        let answer = self.post("entries", submission).await?;
        read_answer(&submission.key, Some(submission.kind), &answer)?.ok_or_else(|| CallError::unreadable("no entry"))
    }

    async fn find(&self, key: &str) -> Result<Option<Entry>, CallError> {
        let body = serde_json::json!({ "key": key });
        let mut tries = self.line.tries();
        loop {
            if let Some(result) = tries.attempt(self.look(key, &body)).await {
                return result;
            }
        }
    }

    async fn tell(&self, entry: &BookEntry) -> Result<Held, CallError> {
        let answer = self.post("books/tell", entry).await?;
        read_held(entry, &answer)
    }

    async fn find_told(&self, key: &str) -> Result<Option<BookEntry>, CallError> {
        let body = serde_json::json!({ "key": key });
        self.ask("books/find", &body, |answer| read_entry(key, answer)).await
    }

    async fn list_book(&self, book: &BookName) -> Result<BookListing, CallError> {
        let body = serde_json::to_value(book).map_err(CallError::unreadable_json)?;
        self.ask("books/list", &body, read_book).await
    }

    async fn list_changes(&self, cursor: &str, most: u32) -> Result<ChangePage, CallError> {
        let body = serde_json::json!({ "cursor": cursor, "most": most });
        self.ask("changes/list", &body, read_changes).await
    }

    fn is_resting(&self) -> bool {
        self.line.is_resting()
    }
}
