//! The frames of RFC 6455, as far as a client of ours sees them.

use anyhow::bail;

const FINAL: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Set in the second byte of every frame of a client.
const MASKED: u8 = 0x80;

/// What stands for the length of a payload where it follows in two or in eight bytes.
const TWO_BYTES: u8 = 0x7e;
const EIGHT_BYTES: u8 = 0x7f;

/// A whole frame of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A message.
    Text(&'a [u8]),
    /// Wants a pong with the same content.
    Ping(&'a [u8]),
    /// An answer to a ping; we send none.
    Pong,
    /// The end, and its code.
    Close(u16),
}

/// Appends `payload` as a text frame of a client.
///
/// The mask is zero: a frame like any other to the server, which unmasks it all the same, while it
/// costs the load generator nothing. (A browser's mask is random to protect proxies, of which there
/// are none here.)
pub(crate) fn text(payload: &[u8], out: &mut Vec<u8>) {
    frame(TEXT, payload, out);
}

/// Appends the answer to a ping.
pub(crate) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    frame(PONG, payload, out);
}

fn frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(FINAL | opcode);
    match payload.len() {
        length @ 0..126 => out.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            out.push(MASKED | TWO_BYTES);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | EIGHT_BYTES);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(payload);
}

/// The first frame of `bytes` and how many bytes it takes, if it is there whole.
pub(crate) fn decode(bytes: &[u8]) -> anyhow::Result<Option<(Frame<'_>, usize)>> {
    let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    if second & MASKED != 0 {
        bail!("the server masks its frames");
    }
    let number = |length: usize| {
        let bytes = bytes.get(2..2 + length)?;
        Some(bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (header, length) = match second {
        TWO_BYTES => (4, number(2)),
        EIGHT_BYTES => (10, number(8)),
        short => (2, Some(u64::from(short))),
    };
    let Some(length) = length else { return Ok(None) };
    let whole = header + usize::try_from(length)?;
    let Some(payload) = bytes.get(header..whole) else { return Ok(None) };
    let frame = match first {
        first if first == FINAL | TEXT => Frame::Text(payload),
        first if first == FINAL | PING => Frame::Ping(payload),
        first if first == FINAL | PONG => Frame::Pong,
        first if first == FINAL | CLOSE => {
            Frame::Close(payload.iter().take(2).fold(0, |code, byte| code << 8 | u16::from(*byte)))
        }
        other => bail!("the server sends a frame that begins with {other:#04x}"),
    };
    Ok(Some((frame, whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        frame(opcode, payload, &mut masked);
        let header = masked.len() - payload.len() - 4;
        let mut bytes = masked[..header].to_vec();
        bytes[1] &= !MASKED;
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn frames_of_every_length_come_back_and_only_whole() {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000] {
            let payload = vec![b'x'; length];
            let bytes = server_frame(TEXT, &payload);
            let (frame, taken) = decode(&bytes).unwrap().unwrap();
            assert_eq!((frame, taken), (Frame::Text(&payload), bytes.len()));
            for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
                assert_eq!(decode(&bytes[..cut]).unwrap(), None, "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_client_masks_with_zeros() {
        let mut out = Vec::new();
        text(b"hi", &mut out);
        assert_eq!(out, [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }

    #[test]
    fn control_frames_are_told_apart() {
        assert_eq!(decode(&server_frame(PING, b"p")).unwrap().unwrap().0, Frame::Ping(b"p"));
        assert_eq!(decode(&server_frame(PONG, b"")).unwrap().unwrap().0, Frame::Pong);
        assert_eq!(decode(&server_frame(CLOSE, &[3, 0xe9])).unwrap().unwrap().0, Frame::Close(1001));
    }

    #[test]
    fn what_no_server_of_ours_sends_is_an_error() {
        assert!(decode(&[0x81, 0x80, 0, 0, 0, 0]).is_err());
        assert!(decode(&[0x01, 0x00]).is_err());
    }
}
