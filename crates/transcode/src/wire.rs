//! The binary form of protobuf, as far as both directions need it.

/// How a value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// The key of a field: its number and how its value is laid out.
pub(crate) const fn key(number: u32, wire: WireType) -> u32 {
    (number << 3) | wire as u32
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Begins something whose length stands before it and is not known yet; [`end_length`] wants the result.
pub(crate) fn begin_length(out: &mut Vec<u8>) -> usize {
    // One byte is enough for nearly everything; the rest is moved.
    out.push(0);
    out.len()
}

/// Writes the length of what has been written since [`begin_length`].
pub(crate) fn end_length(out: &mut Vec<u8>, begin: usize) {
    let length = out.len().saturating_sub(begin);
    if length < 0x80 {
        if let Some(byte) = out.get_mut(begin.saturating_sub(1)) {
            *byte = length as u8;
        }
        return;
    }
    let mut varint = [0_u8; 10];
    let mut size = 0;
    let mut rest = length as u64;
    for byte in &mut varint {
        size += 1;
        *byte = rest as u8 & 0x7f;
        rest >>= 7;
        if rest == 0 {
            break;
        }
        *byte |= 0x80;
    }
    out.resize(out.len() + size - 1, 0);
    out.copy_within(begin..begin + length, begin + size - 1);
    if let (Some(into), Some(from)) = (out.get_mut(begin - 1..begin - 1 + size), varint.get(..size)) {
        into.copy_from_slice(from);
    }
}

/// The raw value of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raw<'b> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'b [u8]),
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no message of this type")]
pub(crate) struct Malformed;

/// Reads the binary form from the front.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'b>(pub(crate) &'b [u8]);

impl<'b> Cursor<'b> {
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for (index, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = self.0.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn fixed64(&mut self) -> Result<u64, Malformed> {
        let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn fixed32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// The next field: its number and value. A group, which no contract of ours has, is malformed.
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Raw<'b>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let raw = match key & 7 {
            0 => Raw::Varint(self.varint()?),
            1 => Raw::Fixed64(self.fixed64()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Raw::Bytes(self.take(length)?)
            }
            5 => Raw::Fixed32(self.fixed32()?),
            _ => return Err(Malformed),
        };
        Ok(Some((key >> 3, raw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lengths_are_written_before_what_they_measure(lengths in prop::collection::vec(0_usize..40_000, 1..4)) {
            let mut out = Vec::new();
            for length in &lengths {
                put_varint(&mut out, u64::from(key(1, WireType::Bytes)));
                let begin = begin_length(&mut out);
                out.extend((0..*length).map(|at| at as u8));
                end_length(&mut out, begin);
            }
            let mut cursor = Cursor(&out);
            for length in &lengths {
                let Some((1, Raw::Bytes(bytes))) = cursor.field().unwrap() else { panic!("a field") };
                prop_assert!(bytes.iter().copied().eq((0..*length).map(|at| at as u8)));
            }
            prop_assert!(cursor.field().unwrap().is_none());
        }

        #[test]
        fn any_bytes_are_read_to_their_end_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut cursor = Cursor(&bytes);
            while let Ok(Some(_)) = cursor.field() {}
        }
    }
}
