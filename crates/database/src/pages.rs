//! Lists, page by page: keyset pages with tokens that cannot be forged.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::Caller;
use egov_fault::{Code, Fault};
use egov_keyring::{Keyring, Purpose};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::write::{bound_to, sha256};

/// The page size where the caller names none.
const DEFAULT_SIZE: i32 = 50;
/// The largest page.
const MAX_SIZE: i32 = 200;

/// What a page token is good for: this caller's further pages of this list, with these filters, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageBinding {
    aad: Vec<u8>,
}

impl PageBinding {
    /// `method` is the full gRPC name. `filter` is whatever decides which rows the list shows and in which order: the
    /// request message with `page_size` and `page_token` cleared, or the part of it that filters and sorts.
    pub fn new(caller_key: &str, method: &str, filter: &impl Message) -> Self {
        let filter = sha256(&filter.encode_to_vec());
        Self {
            aad: bound_to(&[b"egov page", caller_key.as_bytes(), method.as_bytes(), &filter]),
        }
    }

    /// The binding for an authenticated caller.
    pub fn of(caller: &Caller, method: &str, filter: &impl Message) -> Self {
        Self::new(&caller.key(), method, filter)
    }
}

/// The page that a list request asks for: a [`Page`], or what [`PageTokens::page`] refuses. Its tokens are good for all that the request
/// says but the page itself, also for what a later version of the message will say.
#[macro_export]
macro_rules! page_of {
    ($tokens:expr, $caller:expr, $method:expr, $request:expr) => {{
        let mut filter = $request.clone();
        let size = ::std::mem::take(&mut filter.page_size);
        let token = ::std::mem::take(&mut filter.page_token);
        $tokens.page(size, &token, $crate::PageBinding::of($caller, $method, &filter))
    }};
}

/// Seals page tokens and opens them. A token is opaque and encrypted: it holds the sort key of the last row shown.
#[derive(Clone)]
pub struct PageTokens {
    keyring: Arc<Keyring>,
}

impl std::fmt::Debug for PageTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageTokens").finish_non_exhaustive()
    }
}

impl PageTokens {
    /// Tokens under the keyring's key for page tokens.
    pub fn new(keyring: Arc<Keyring>) -> Self {
        Self { keyring }
    }

    /// The token that continues behind `key`.
    pub fn seal(&self, key: &impl Serialize, binding: &PageBinding) -> Result<String, Fault> {
        let plain = serde_json::to_vec(key).map_err(Fault::internal)?;
        let sealed = self.keyring.seal(Purpose::PageTokens, &plain, &binding.aad);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The key in a token. A token that was changed, that another caller got, that belongs to another list or other
    /// filters, or whose key is retired: `INVALID_ARGUMENT` / `PAGE_TOKEN_INVALID`, without saying which.
    pub fn open<K: DeserializeOwned>(&self, token: &str, binding: &PageBinding) -> Result<K, Fault> {
        URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|sealed| {
                self.keyring
                    .open_sealed(Purpose::PageTokens, &sealed, &binding.aad)
                    .ok()
            })
            .and_then(|plain| serde_json::from_slice(&plain).ok())
            .ok_or_else(|| {
                Fault::new(
                    Code::InvalidArgument,
                    "PAGE_TOKEN_INVALID",
                    "mã trang không hợp lệ; hãy bắt đầu lại từ trang đầu",
                    "the page token is not valid here; start again with the first page",
                )
            })
    }

    /// Reads `page_size` and `page_token` of a list request. 0 means 50 rows; more than 200 means 200.
    pub fn page<K: DeserializeOwned>(
        &self,
        page_size: i32,
        page_token: &str,
        binding: PageBinding,
    ) -> Result<Page<K>, Fault> {
        if page_size < 0 {
            return Err(Fault::invalid(vec![egov_fault::Violation {
                field: "page_size".to_owned(),
                rule: "int32.gte".to_owned(),
                vi: "phải từ 0 trở lên".to_owned(),
                en: "must not be negative".to_owned(),
            }]));
        }
        let size = match page_size {
            0 => DEFAULT_SIZE,
            size => size.min(MAX_SIZE),
        };
        let after = if page_token.is_empty() {
            None
        } else {
            Some(self.open(page_token, &binding)?)
        };
        Ok(Page {
            size,
            after,
            tokens: self.clone(),
            binding,
        })
    }
}

/// One page of a list: where it begins and how long it is.
#[derive(Debug)]
pub struct Page<K> {
    size: i32,
    after: Option<K>,
    tokens: PageTokens,
    binding: PageBinding,
}

impl<K: Serialize> Page<K> {
    /// The sort key of the last row of the page before; `None` on the first page.
    pub fn after(&self) -> Option<&K> {
        self.after.as_ref()
    }

    /// How many rows to fetch: one more than the page shows, which tells whether another page follows.
    pub fn fetch(&self) -> i64 {
        i64::from(self.size) + 1
    }

    /// How many rows the page shows at most.
    pub fn size(&self) -> u32 {
        self.size.unsigned_abs()
    }

    /// Makes the token of the next page for rows that were cut elsewhere, for example by their bytes: empty unless `more` follow.
    pub fn cut<R>(self, rows: Vec<R>, more: bool, key: impl FnOnce(&R) -> K) -> Result<(Vec<R>, String), Fault> {
        let token = match rows.last() {
            Some(last) if more => self.tokens.seal(&key(last), &self.binding)?,
            _ => String::new(),
        };
        Ok((rows, token))
    }

    /// Cuts the fetched rows to the page and makes the token of the next one; empty when this is the last.
    pub fn finish<R>(self, mut rows: Vec<R>, key: impl FnOnce(&R) -> K) -> Result<(Vec<R>, String), Fault> {
        let size = self.size as usize;
        if rows.len() <= size {
            return Ok((rows, String::new()));
        }
        rows.truncate(size);
        let token = match rows.last() {
            Some(last) => self.tokens.seal(&key(last), &self.binding)?,
            None => String::new(),
        };
        Ok((rows, token))
    }
}
