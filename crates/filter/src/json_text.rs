//! JSON as text: where its values begin and end.
//!
//! A text is seen to be JSON before it is walked, so that the walk only has to find its way.

use serde::de::IgnoredAny;

use crate::Refused;

/// Goes through a text that is JSON.
pub(crate) struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Scanner<'t> {
    /// Before the one value of a text.
    ///
    /// # Errors
    /// [`Refused::Unreadable`] if it is no UTF-8, or not one value of JSON.
    pub(crate) fn of(text: &'t [u8]) -> Result<Self, Refused> {
        std::str::from_utf8(text).map_err(|_| Refused::Unreadable)?;
        serde_json::from_slice::<IgnoredAny>(text).map_err(|_| Refused::Unreadable)?;
        Ok(Self { text, at: 0 })
    }

    /// Before a value of a text that was seen to be JSON.
    pub(crate) fn within(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn range(&self, from: usize, to: usize) -> &'t [u8] {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The next byte that is no space, which stays there.
    pub(crate) fn peek(&mut self) -> Result<u8, Refused> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Refused::Unreadable),
            }
        }
    }

    /// Goes past this byte if it is the next.
    pub(crate) fn take(&mut self, byte: u8) -> Result<bool, Refused> {
        let next = self.peek()? == byte;
        if next {
            self.at += 1;
        }
        Ok(next)
    }

    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Refused> {
        if self.take(byte)? {
            Ok(())
        } else {
            Err(Refused::Unreadable)
        }
    }

    /// Past a string; what stands between its quotes, and with them.
    pub(crate) fn string(&mut self) -> Result<&'t [u8], Refused> {
        let begin = {
            self.peek()?;
            self.at
        };
        self.expect(b'"')?;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.range(begin, self.at));
                }
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(Refused::Unreadable),
            }
        }
    }

    /// Past a value, which is returned as it stands.
    pub(crate) fn value(&mut self) -> Result<&'t [u8], Refused> {
        self.peek()?;
        let begin = self.at;
        let mut open = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    self.at += 1;
                    open += 1;
                }
                b'}' | b']' => {
                    self.at += 1;
                    open = open.checked_sub(1).ok_or(Refused::Unreadable)?;
                }
                b',' | b':' => self.at += 1,
                _ => {
                    while let Some(byte) = self.text.get(self.at)
                        && !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'}' | b']')
                    {
                        self.at += 1;
                    }
                }
            }
            if open == 0 {
                return Ok(self.range(begin, self.at));
            }
        }
    }
}

/// A string as it is meant.
pub(crate) fn meant(quoted: &[u8]) -> Result<std::borrow::Cow<'_, str>, Refused> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if inner.contains(&b'\\') {
        // `"na\u006de"` is the same name as `"name"`.
        let meant: String = serde_json::from_slice(quoted).map_err(|_| Refused::Unreadable)?;
        return Ok(meant.into());
    }
    std::str::from_utf8(inner)
        .map(Into::into)
        .map_err(|_| Refused::Unreadable)
}
