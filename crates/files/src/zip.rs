//! The directory of a ZIP archive, read strictly and without unpacking anything.

/// Length of the record at the end of an archive, without its comment.
const END_LENGTH: usize = 22;
/// Length of a directory entry, without its name, extra field and comment.
const ENTRY_LENGTH: usize = 46;
/// Length of the header in front of a stored file, without its name and extra field.
const LOCAL_LENGTH: usize = 30;

/// A file in an archive.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) encrypted: bool,
}

/// The files of the archive that is `total` bytes long and ends with `tail`.
///
/// None if the archive is not plain: directory not within `tail`, bytes between directory and end, several volumes,
/// ZIP64 (needed beyond 4 GiB only), a directory that contradicts itself.
pub(crate) fn entries(tail: &[u8], total: u64) -> Option<Vec<Entry<'_>>> {
    let end_place = end_of_archive(tail)?;
    let end = tail.get(end_place..)?;
    let (disks, this_disk) = (u16_at(end, 4)?, u16_at(end, 6)?);
    let (count_here, count) = (u16_at(end, 8)?, u16_at(end, 10)?);
    let length = usize::try_from(u32_at(end, 12)?).ok()?;
    let offset = u64::from(u32_at(end, 16)?);
    let tail_offset = total.checked_sub(tail.len() as u64)?;
    let plain = disks == 0
        && this_disk == 0
        && count_here == count
        && count != u16::MAX
        && offset + length as u64 == tail_offset + end_place as u64;
    if !plain {
        return None;
    }

    let mut rest = tail.get(end_place.checked_sub(length)?..end_place)?;
    let mut entries = Vec::with_capacity(usize::from(count).min(1024));
    while !rest.is_empty() {
        if !rest.starts_with(b"PK\x01\x02") {
            return None;
        }
        let name_length = usize::from(u16_at(rest, 28)?);
        let behind = usize::from(u16_at(rest, 30)?) + usize::from(u16_at(rest, 32)?);
        entries.push(Entry {
            name: rest.get(ENTRY_LENGTH..ENTRY_LENGTH + name_length)?,
            encrypted: u16_at(rest, 8)? & 1 == 1,
        });
        rest = rest.get(ENTRY_LENGTH + name_length + behind..)?;
    }
    (entries.len() == usize::from(count)).then_some(entries)
}

/// Whether the archive that begins with `head` begins with a file of this name and content, stored as it is.
pub(crate) fn begins_with_stored(head: &[u8], name: &[u8], content: &[u8]) -> bool {
    let matches = || -> Option<bool> {
        let stored = u16_at(head, 8)? == 0;
        let length = usize::try_from(u32_at(head, 18)?).ok()?;
        let name_length = usize::from(u16_at(head, 26)?);
        let extra_length = usize::from(u16_at(head, 28)?);
        let name_end = LOCAL_LENGTH + name_length;
        let begin = name_end + extra_length;
        Some(
            stored
                && length == content.len()
                && head.get(LOCAL_LENGTH..name_end)? == name
                && head.get(begin..begin + length)? == content,
        )
    };
    matches().unwrap_or(false)
}

/// Where the last record begins: it is followed by its comment and nothing else.
fn end_of_archive(tail: &[u8]) -> Option<usize> {
    let latest = tail.len().checked_sub(END_LENGTH)?;
    let earliest = latest.saturating_sub(usize::from(u16::MAX));
    (earliest..=latest).rev().find(|&place| {
        let Some(end) = tail.get(place..) else {
            return false;
        };
        end.starts_with(b"PK\x05\x06")
            && u16_at(end, 20).is_some_and(|comment| END_LENGTH + usize::from(comment) == end.len())
    })
}

fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    bytes
        .get(place..)?
        .first_chunk()
        .map(|chunk| u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    bytes
        .get(place..)?
        .first_chunk()
        .map(|chunk| u32::from_le_bytes(*chunk))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An archive of stored files, as an office program would write it.
    pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut directory = Vec::new();
        for (name, content) in files {
            let offset = bytes.len() as u32;
            let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            common.extend([0; 4]);
            common.extend((content.len() as u32).to_le_bytes());
            common.extend((content.len() as u32).to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0; 2]);
            bytes.extend(b"PK\x03\x04");
            bytes.extend(&common);
            bytes.extend(name.as_bytes());
            bytes.extend(*content);
            directory.extend(b"PK\x01\x02\x14\x00");
            directory.extend(&common);
            directory.extend([0; 10]);
            directory.extend(offset.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let offset = bytes.len() as u32;
        bytes.extend(&directory);
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend((files.len() as u16).to_le_bytes());
        bytes.extend((files.len() as u16).to_le_bytes());
        bytes.extend((directory.len() as u32).to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    fn names(bytes: &[u8]) -> Option<Vec<String>> {
        entries(bytes, bytes.len() as u64).map(|entries| {
            entries
                .iter()
                .map(|entry| String::from_utf8_lossy(entry.name).into_owned())
                .collect()
        })
    }

    #[test]
    fn the_directory_names_every_file() {
        let bytes = archive(&[("a/b.xml", b"one"), ("c", b"")]);
        assert_eq!(names(&bytes).unwrap(), ["a/b.xml", "c"]);
        assert!(begins_with_stored(&bytes, b"a/b.xml", b"one"));
        assert!(!begins_with_stored(&bytes, b"a/b.xml", b"on"));
        assert!(!begins_with_stored(&bytes, b"c", b""));
    }

    #[test]
    fn the_end_alone_is_enough() {
        let bytes = archive(&[("a", &[7; 5000]), ("b", b"two")]);
        let tail = &bytes[4000..];
        let found = entries(tail, bytes.len() as u64).unwrap();
        assert_eq!(found.len(), 2);
        let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        assert!(entries(&bytes[directory..], bytes.len() as u64).is_some());
        assert!(entries(&bytes[directory + 1..], bytes.len() as u64).is_none());
    }

    #[test]
    fn an_archive_with_bytes_in_front_behind_or_cut_off_is_refused() {
        let bytes = archive(&[("a", b"one")]);
        assert!(names(&[b"x".as_slice(), &bytes].concat()).is_none());
        assert!(names(&[bytes.as_slice(), b"x"].concat()).is_none());
        for length in 0..bytes.len() {
            assert!(names(&bytes[..length]).is_none(), "cut to {length} bytes");
        }
    }

    #[test]
    fn no_flipped_bit_makes_it_fail_otherwise_than_by_refusing() {
        let bytes = archive(&[("word/document.xml", b"one"), ("b", b"")]);
        for place in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[place / 8] ^= 1 << (place % 8);
            if let Some(found) = names(&altered) {
                assert_eq!(found.len(), 2);
            }
            begins_with_stored(&altered, b"word/document.xml", b"one");
        }
    }
}
