//! A ZIP archive whose members are packed while they are written; without times, so that it repeats.

use std::io::{self, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// The archive so far.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    members: u16,
}

/// A member while it is written.
pub(crate) struct Member {
    packed: DeflateEncoder<Vec<u8>>,
    crc: Crc,
}

impl Write for Member {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.packed.write(data)?;
        self.crc.update(data.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.packed.flush()
    }
}

/// The first day that the format knows: no time is told.
const DAY: u16 = 0x0021;
const DEFLATED: u16 = 8;
const VERSION: u16 = 20;

impl Archive {
    /// Begins a member.
    pub(crate) fn member() -> Member {
        Member {
            packed: DeflateEncoder::new(Vec::new(), Compression::default()),
            crc: Crc::new(),
        }
    }

    /// Adds a member that was written.
    pub(crate) fn add(&mut self, name: &str, member: Member) -> io::Result<()> {
        let packed = member.packed.finish()?;
        let sizes = [member.crc.sum(), size(packed.len())?, member.crc.amount()];
        let offset = size(self.bytes.len())?;
        let mut common = Vec::new();
        for number in [VERSION, 0, DEFLATED, 0, DAY] {
            common.extend(number.to_le_bytes());
        }
        for number in sizes {
            common.extend(number.to_le_bytes());
        }
        let length = u16::try_from(name.len()).map_err(io::Error::other)?;
        common.extend(length.to_le_bytes());
        common.extend(0_u16.to_le_bytes());

        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&common);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(&packed);

        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(VERSION.to_le_bytes());
        self.directory.extend(&common);
        // No comment, the first disk, no attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.members += 1;
        Ok(())
    }

    /// A member that is a text.
    pub(crate) fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut member = Self::member();
        member.write_all(text.as_bytes())?;
        self.add(name, member)
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        let (begin, length) = (size(self.bytes.len())?, size(self.directory.len())?);
        self.bytes.append(&mut self.directory);
        self.bytes.extend(b"PK\x05\x06");
        self.bytes.extend([0; 4]);
        self.bytes.extend(self.members.to_le_bytes());
        self.bytes.extend(self.members.to_le_bytes());
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(begin.to_le_bytes());
        self.bytes.extend([0; 2]);
        Ok(self.bytes)
    }
}

fn size(of: usize) -> io::Result<u32> {
    u32::try_from(of).map_err(io::Error::other)
}
