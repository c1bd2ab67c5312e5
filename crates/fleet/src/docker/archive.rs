//! A payload as the archive that an engine unpacks into a container.

use crate::supervise::now;

const BLOCK_BYTES: usize = 512;

/// An archive (POSIX ustar) with the payload under a name of its own, and after it the link that
/// makes it the payload file: what reads the link sees all of it or nothing.
pub(super) fn payload(link: &str, payload: &[u8]) -> Vec<u8> {
    let seconds = now().as_millis() / 1000;
    let file = format!("{link}.{}", now().as_millis());
    let mut archive = Vec::with_capacity(payload.len() + 8 * BLOCK_BYTES);
    archive.extend_from_slice(&header(&file, b'0', payload.len(), "", seconds));
    archive.extend_from_slice(payload);
    archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
    archive.extend_from_slice(&header(link, b'2', 0, &file, seconds));
    archive.resize(archive.len() + 2 * BLOCK_BYTES, 0);
    archive
}

fn header(name: &str, kind: u8, size: usize, link: &str, seconds: i64) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, &format!("{seconds:011o}\0"));
    put(148, "        ");
    put(157, link);
    put(257, "ustar\u{0}00");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_comes_before_the_link_to_it() {
        let archive = payload("payload", &[7; 600]);
        assert_eq!(archive.len() % BLOCK_BYTES, 0);
        assert_eq!(archive[156], b'0');
        assert_eq!(&archive[124..135], b"00000001130");
        assert_eq!(&archive[512..1112], &[7; 600]);
        let link = &archive[512 + 1024..];
        assert!(link.starts_with(b"payload\0"));
        assert_eq!(link[156], b'2');
        assert!(link[157..].starts_with(b"payload."));
        let stated = u32::from_str_radix(std::str::from_utf8(&link[148..154]).unwrap(), 8).unwrap();
        let sum: u32 = (0..512).map(|n| if (148..156).contains(&n) { 32 } else { u32::from(link[n]) }).sum();
        assert_eq!(stated, sum);
    }
}
