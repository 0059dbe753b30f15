//! One file of a spool: a head with its number, frames, and at its end a mark that says it is complete.
//!
//! A frame is the length of its payload (u32), a CRC-32 over the segment's number, the length and the payload (u32), and the payload; all
//! numbers are little-endian. A length of `u32::MAX` is the mark of a complete segment.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"egovspl1";
/// Magic, number, checksum.
pub(crate) const HEAD: u64 = 8 + 8 + 4;
/// Length and checksum.
pub(crate) const FRAME: usize = 8;
const COMPLETE: u32 = u32::MAX;

/// How much is written at once when a segment is filled with zeros.
const ZEROS: usize = 256 * 1024;

fn checksum(number: u64, length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Appends a frame around what `encode` appends, and says how long it is; none, and nothing appended, if that is nothing or too large
/// for a segment of `segment_bytes`.
pub(crate) fn frame(
    out: &mut Vec<u8>,
    number: u64,
    segment_bytes: u64,
    encode: impl FnOnce(&mut Vec<u8>),
) -> Option<u64> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    encode(out);
    let payload = out.get(start + FRAME..).unwrap_or_default();
    let length = u32::try_from(payload.len()).ok().filter(|length| {
        // A length of nothing is what zeros say. With the mark behind it.
        *length > 0 && *length != COMPLETE && HEAD + u64::from(*length) + 2 * FRAME as u64 <= segment_bytes
    });
    let Some(length) = length else {
        out.truncate(start);
        return None;
    };
    let check = checksum(number, length, payload);
    seal(out, start, length, check);
    Some(u64::from(length) + FRAME as u64)
}

fn seal(out: &mut [u8], start: usize, length: u32, check: u32) {
    if let Some(head) = out.get_mut(start..start + FRAME) {
        let (first, second) = head.split_at_mut(4);
        first.copy_from_slice(&length.to_le_bytes());
        second.copy_from_slice(&check.to_le_bytes());
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let (head, _) = bytes.get(at..)?.split_first_chunk::<4>()?;
    Some(u32::from_le_bytes(*head))
}

/// A segment on disk.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    file: File,
    /// Behind this it holds zeros only.
    written: u64,
}

/// What a segment holds.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// The number of its use; none if it was never used or is wiped.
    pub(crate) number: Option<u64>,
    /// The payloads of its frames.
    pub(crate) frames: Vec<Vec<u8>>,
    /// Where the frames end.
    pub(crate) end: u64,
    /// Whether it says that it is complete.
    pub(crate) complete: bool,
}

impl Segment {
    /// Makes a segment full of zeros.
    pub(crate) fn create(path: PathBuf, bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        let mut segment = Self {
            path,
            file,
            written: bytes,
        };
        segment.wipe(bytes)?;
        Ok(segment)
    }

    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self {
            path,
            file,
            written: u64::MAX,
        })
    }

    /// Fills it with zeros, as far as it does not hold them already.
    pub(crate) fn wipe(&mut self, bytes: u64) -> io::Result<()> {
        let end = bytes.min(self.written);
        // First what says that it was used: a wipe that does not come to an end must not leave a segment that looks damaged.
        let head = usize::try_from(HEAD.min(bytes)).unwrap_or_default();
        self.file.write_all_at(&vec![0; head], 0)?;
        self.file.sync_data()?;
        let zeros = vec![0; ZEROS.min(usize::try_from(end).unwrap_or(ZEROS))];
        let mut at = 0;
        while at < end {
            let some = usize::try_from(end - at).unwrap_or(ZEROS).min(zeros.len());
            self.file.write_all_at(zeros.get(..some).unwrap_or(&zeros), at)?;
            at += some as u64;
        }
        self.file.set_len(bytes)?;
        self.file.sync_all()?;
        self.written = 0;
        Ok(())
    }

    /// Begins a use of it.
    pub(crate) fn begin(&mut self, number: u64) -> io::Result<()> {
        let mut head = Vec::with_capacity(32);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&number.to_le_bytes());
        head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        self.write(&head, 0)
    }

    /// Writes frames at a place. They are durable after [`flush`](Self::flush).
    pub(crate) fn write(&mut self, frames: &[u8], at: u64) -> io::Result<()> {
        self.written = self.written.max(at + frames.len() as u64);
        self.file.write_all_at(frames, at)
    }

    /// Marks it as complete.
    pub(crate) fn complete(&mut self, number: u64, at: u64) -> io::Result<()> {
        let mut mark = [0; FRAME];
        seal(&mut mark, 0, COMPLETE, checksum(number, COMPLETE, &[]));
        self.write(&mark, at)
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Everything that it holds.
    pub(crate) fn read(&self) -> io::Result<Content> {
        let mut bytes = Vec::new();
        let mut file = &self.file;
        file.read_to_end(&mut bytes)?;
        Ok(content(&bytes))
    }
}

/// The content of a segment's bytes, as far as it makes sense.
pub(crate) fn content(bytes: &[u8]) -> Content {
    let mut found = Content::default();
    let Some(head) = bytes.get(..16) else { return found };
    let genuine = head.starts_with(MAGIC) && word(bytes, 16) == Some(crc32fast::hash(head));
    let number = head.get(8..).and_then(|number| number.try_into().ok());
    let Some(number) = number.filter(|_| genuine).map(u64::from_le_bytes) else {
        return found;
    };
    found.number = Some(number);
    let mut at = usize::try_from(HEAD).unwrap_or(usize::MAX);
    while let (Some(length), Some(check)) = (word(bytes, at), word(bytes, at + 4)) {
        if length == COMPLETE {
            found.complete = check == checksum(number, COMPLETE, &[]);
            break;
        }
        let end = (at + FRAME).saturating_add(length as usize);
        if length == 0 {
            break;
        }
        let Some(payload) = bytes.get(at + FRAME..end) else {
            break;
        };
        if check != checksum(number, length, payload) {
            break;
        }
        found.frames.push(payload.to_vec());
        at = end;
    }
    found.end = at as u64;
    found
}

/// Makes the names in a folder durable.
pub(crate) fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
