//! Reading our compact forms: every length is checked before anything is taken.

use crate::error::{LedgerError, malformed};

pub(crate) struct Bytes<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], LedgerError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| malformed(self.what, "it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], LedgerError> {
        let what = self.what;
        self.take(N)?
            .try_into()
            .map_err(|_| malformed(what, "it ends too early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LedgerError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, LedgerError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LedgerError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LedgerError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, LedgerError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A text with its length in one byte before it.
    pub(crate) fn short_text(&mut self) -> Result<&'a str, LedgerError> {
        let length = usize::from(self.u8()?);
        let what = self.what;
        std::str::from_utf8(self.take(length)?).map_err(|_| malformed(what, "a text is not UTF-8"))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn end(&self) -> Result<(), LedgerError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(malformed(self.what, "something stands behind its end"))
        }
    }
}

/// Appends a text with its length in one byte before it.
pub(crate) fn put_short_text(out: &mut Vec<u8>, what: &'static str, text: &str) -> Result<(), LedgerError> {
    let length = u8::try_from(text.len()).map_err(|_| malformed(what, "a text is longer than 255 bytes"))?;
    out.push(length);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
