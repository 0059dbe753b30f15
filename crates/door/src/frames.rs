//! The frames of gRPC: a flag, a length, a message.

use std::io::Read as _;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flate2::bufread::{GzDecoder, ZlibDecoder};
use http::{HeaderMap, HeaderValue};

/// The length of what stands before a message: a flag and four bytes of length.
pub(crate) const PREFIX: usize = 5;

/// Why frames cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A message is longer than allowed, as announced or once inflated.
    #[error("a message is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The flag is neither 0 nor 1.
    #[error("a frame has the flag {0}")]
    Flag(u8),
    /// The body ends within a frame.
    #[error("the body ends within a message")]
    Truncated,
    /// A unary call has no message, or more than one.
    #[error("a unary call has one message, not {0}")]
    Count(usize),
    /// Compressed in a way that was not announced, is not known here, or does not inflate.
    #[error("a compressed message cannot be inflated")]
    Compression,
}

/// A message with its flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether it is compressed.
    pub compressed: bool,
    /// The message as it travels.
    pub bytes: Bytes,
}

impl Message {
    /// The frame of a message that is not compressed.
    pub(crate) fn frame_of(message: &[u8]) -> Bytes {
        let mut frame = BytesMut::with_capacity(PREFIX + message.len());
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        frame.put_slice(message);
        frame.freeze()
    }
}

/// How messages of one direction are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Identity,
    /// gzip
    Gzip,
    /// deflate, which is zlib
    Deflate,
    /// Something that is not known here.
    Unknown,
}

impl Compression {
    /// As the header `grpc-encoding` says.
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.get("grpc-encoding").map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Self::Identity,
            Some(b"gzip") => Self::Gzip,
            Some(b"deflate") => Self::Deflate,
            Some(_) => Self::Unknown,
        }
    }
}

/// The message itself, inflated if it is compressed, at most `limit` bytes of it.
pub fn inflate(message: Message, compression: Compression, limit: usize) -> Result<Bytes, FrameError> {
    if !message.compressed {
        return Ok(message.bytes);
    }
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut out = Vec::new();
    let read = match compression {
        Compression::Gzip => GzDecoder::new(&*message.bytes).take(most).read_to_end(&mut out),
        Compression::Deflate => ZlibDecoder::new(&*message.bytes).take(most).read_to_end(&mut out),
        Compression::Identity | Compression::Unknown => return Err(FrameError::Compression),
    };
    read.map_err(|_| FrameError::Compression)?;
    if out.len() > limit {
        return Err(FrameError::TooLarge { limit });
    }
    Ok(out.into())
}

/// Cuts a body into messages. Holds one message at most.
#[derive(Debug)]
pub(crate) struct Splitter {
    limit: usize,
    buffer: BytesMut,
}

impl Splitter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: BytesMut::new(),
        }
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole message, if it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, FrameError> {
        let Some((flag, length)) = head(&self.buffer)? else {
            return Ok(None);
        };
        if length > self.limit {
            return Err(FrameError::TooLarge { limit: self.limit });
        }
        if self.buffer.len() < PREFIX + length {
            self.buffer.reserve(PREFIX + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(Message {
            compressed: flag,
            bytes: self.buffer.split_to(length).freeze(),
        }))
    }
}

/// Flag and length of the first frame, if that much is there.
fn head(bytes: &[u8]) -> Result<Option<(bool, usize)>, FrameError> {
    let Some((&[flag, a, b, c, d], _)) = bytes.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let compressed = match flag {
        0 => false,
        1 => true,
        other => return Err(FrameError::Flag(other)),
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    Ok(Some((compressed, usize::try_from(length).unwrap_or(usize::MAX))))
}

/// The one message of a whole body.
pub(crate) fn single(body: &Bytes, limit: usize) -> Result<Message, FrameError> {
    let Some((compressed, length)) = head(body)? else {
        return Err(if body.is_empty() {
            FrameError::Count(0)
        } else {
            FrameError::Truncated
        });
    };
    if length > limit {
        return Err(FrameError::TooLarge { limit });
    }
    match body.len().checked_sub(PREFIX + length) {
        None => Err(FrameError::Truncated),
        Some(0) => Ok(Message {
            compressed,
            bytes: body.slice(PREFIX..),
        }),
        Some(_) => Err(FrameError::Count(2)),
    }
}

/// Follows the frames of a body that passes through, without keeping any of it: counts messages, refuses flags that do not
/// exist and messages that are too long.
#[derive(Debug)]
pub(crate) struct Follower {
    limit: usize,
    head: [u8; PREFIX],
    seen: usize,
    rest: usize,
    pub(crate) messages: u64,
}

impl Follower {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            head: [0; PREFIX],
            seen: 0,
            rest: 0,
            messages: 0,
        }
    }

    pub(crate) fn follow(&mut self, mut data: &[u8]) -> Result<(), FrameError> {
        while !data.is_empty() {
            if self.rest > 0 {
                let step = self.rest.min(data.len());
                self.rest -= step;
                data = data.get(step..).unwrap_or_default();
                if self.rest == 0 {
                    self.messages += 1;
                }
                continue;
            }
            let missing = (PREFIX - self.seen).min(data.len());
            let (now, later) = data.split_at(missing);
            for (to, from) in self.head.iter_mut().skip(self.seen).zip(now) {
                *to = *from;
            }
            self.seen += missing;
            data = later;
            if self.seen == PREFIX {
                self.seen = 0;
                match head(&self.head)? {
                    Some((_, length)) if length > self.limit => {
                        return Err(FrameError::TooLarge { limit: self.limit });
                    }
                    Some((_, 0)) => self.messages += 1,
                    Some((_, length)) => self.rest = length,
                    None => {}
                }
            }
        }
        Ok(())
    }

    pub(crate) fn end(&self) -> Result<(), FrameError> {
        if self.rest == 0 && self.seen == 0 {
            Ok(())
        } else {
            Err(FrameError::Truncated)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression as Level;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    fn gzip(text: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Level::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap().into()
    }

    fn compressed(bytes: Bytes) -> Message {
        Message {
            compressed: true,
            bytes,
        }
    }

    #[test]
    fn what_inflates_beyond_the_limit_is_refused_before_it_is_whole() {
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(bomb.len() < 60_000);
        assert_eq!(
            inflate(compressed(bomb), Compression::Gzip, 1_000_000),
            Err(FrameError::TooLarge { limit: 1_000_000 })
        );
    }

    #[test]
    fn messages_are_inflated_as_their_headers_say() {
        assert_eq!(
            &*inflate(compressed(gzip(b"abc")), Compression::Gzip, 3).unwrap(),
            b"abc"
        );
        let mut zlib = ZlibEncoder::new(Vec::new(), Level::fast());
        zlib.write_all(b"abc").unwrap();
        let zlib = Bytes::from(zlib.finish().unwrap());
        assert_eq!(&*inflate(compressed(zlib), Compression::Deflate, 3).unwrap(), b"abc");
        for compression in [Compression::Identity, Compression::Unknown, Compression::Deflate] {
            assert_eq!(
                inflate(compressed(gzip(b"abc")), compression, 3),
                Err(FrameError::Compression)
            );
        }
    }

    #[test]
    fn a_unary_body_is_one_whole_message() {
        let frame = Message::frame_of(b"abc");
        assert_eq!(&*single(&frame, 3).unwrap().bytes, b"abc");
        assert_eq!(single(&frame, 2), Err(FrameError::TooLarge { limit: 2 }));
        assert_eq!(single(&Bytes::new(), 3), Err(FrameError::Count(0)));
        assert_eq!(single(&frame.slice(..7), 3), Err(FrameError::Truncated));
        let two = Bytes::from([&frame[..], &frame[..]].concat());
        assert_eq!(single(&two, 3), Err(FrameError::Count(2)));
        assert_eq!(
            single(&Bytes::from_static(b"\x02\0\0\0\0"), 3),
            Err(FrameError::Flag(2))
        );
    }

    proptest! {
        /// However a body is cut, the same messages are found, by the one that keeps them and by the one that does not.
        #[test]
        fn frames_are_found_however_the_body_is_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cuts in prop::collection::vec(1_usize..9, 1..40),
            lost in 0_usize..3,
        ) {
            let mut body: Vec<u8> = messages.iter().flat_map(|message| Message::frame_of(message).to_vec()).collect();
            body.truncate(body.len().saturating_sub(lost));
            let whole = body.len();
            let (mut splitter, mut follower) = (Splitter::new(40), Follower::new(40));
            let (mut found, mut rest) = (Vec::new(), &body[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                splitter.push(now);
                follower.follow(now).unwrap();
                while let Some(message) = splitter.next().unwrap() {
                    found.push(message.bytes.to_vec());
                }
                rest = later;
            }
            prop_assert_eq!(follower.messages, found.len() as u64);
            prop_assert_eq!(splitter.buffer.is_empty(), follower.end().is_ok());
            prop_assert!(messages.starts_with(&found));
            if lost == 0 || whole == 0 {
                prop_assert!(follower.end().is_ok());
            }
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let bytes = Bytes::from(body);
            let _ = single(&bytes, 30);
            let mut splitter = Splitter::new(30);
            splitter.push(&bytes);
            while let Ok(Some(message)) = splitter.next() {
                let _ = inflate(message, Compression::Gzip, 100);
            }
            let _ = Follower::new(30).follow(&bytes);
        }
    }
}
