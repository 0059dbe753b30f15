//! The encoding of protobuf: tags, varints, lengths.

use crate::Refused;

/// The deepest nesting that is read.
pub(crate) const DEEPEST: usize = 100;

/// How a value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Length,
    GroupStart,
    GroupEnd,
    Fixed32,
}

/// A tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) number: u32,
    pub(crate) wire: WireType,
}

/// Bytes that are read from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Refused> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Refused::Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Refused> {
        let mut value = 0_u64;
        for place in 0..10 {
            let (&byte, rest) = self.0.split_first().ok_or(Refused::Unreadable)?;
            self.0 = rest;
            // The tenth byte holds the highest bit alone.
            if place == 9 && byte > 1 {
                return Err(Refused::Unreadable);
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Refused::Unreadable)
    }

    pub(crate) fn tag(&mut self) -> Result<Tag, Refused> {
        let key = u32::try_from(self.varint()?).map_err(|_| Refused::Unreadable)?;
        let number = key >> 3;
        let wire = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Length,
            3 => WireType::GroupStart,
            4 => WireType::GroupEnd,
            5 => WireType::Fixed32,
            _ => return Err(Refused::Unreadable),
        };
        if number == 0 {
            return Err(Refused::Unreadable);
        }
        Ok(Tag { number, wire })
    }

    pub(crate) fn delimited(&mut self) -> Result<&'a [u8], Refused> {
        let length = usize::try_from(self.varint()?).map_err(|_| Refused::Unreadable)?;
        self.take(length)
    }

    /// Passes over a value whose tag was read.
    pub(crate) fn skip(&mut self, tag: Tag, depth: usize) -> Result<(), Refused> {
        match tag.wire {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.take(8).map(drop),
            WireType::Fixed32 => self.take(4).map(drop),
            WireType::Length => self.delimited().map(drop),
            WireType::GroupStart => {
                if depth >= DEEPEST {
                    return Err(Refused::Unreadable);
                }
                loop {
                    let inner = self.tag()?;
                    if inner.wire == WireType::GroupEnd {
                        return if inner.number == tag.number {
                            Ok(())
                        } else {
                            Err(Refused::Unreadable)
                        };
                    }
                    self.skip(inner, depth + 1)?;
                }
            }
            WireType::GroupEnd => Err(Refused::Unreadable),
        }
    }
}

/// The bytes of a varint.
pub(crate) fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).unwrap_or(10)
}

/// Writes a varint over the first bytes of `out`, which must have room for it.
pub(crate) fn put_varint(out: &mut [u8], mut value: u64) {
    for byte in out {
        if value < 0x80 {
            *byte = u8::try_from(value).unwrap_or_default();
            return;
        }
        *byte = u8::try_from(value & 0x7f).unwrap_or_default() | 0x80;
        value >>= 7;
    }
}
