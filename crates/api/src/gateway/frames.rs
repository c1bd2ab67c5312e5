//! Where one WebSocket frame ends and the next begins (RFC 6455, 5.2), told without reading what is
//! in them: so that a last word of ours is put between two frames and never into one.

/// First byte of a close frame: final, opcode 8.
const CLOSE: u8 = 0x88;

/// The opcode of a close frame.
const OPCODE_CLOSE: u8 = 0x8;

/// Longest reason of a close frame, in bytes: a control frame has at most 125, two are the code.
const REASON_BYTES_MAX: usize = 123;

/// Follows a stream of frames.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    /// The beginning of a frame whose length is not known yet.
    head: [u8; 14],
    head_bytes: usize,
    /// Bytes of the frame's content that are still to come.
    left: u64,
    has_close: bool,
}

impl Edges {
    /// Takes in what passed.
    pub(crate) fn passed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len() as u64);
                self.left -= taken;
                bytes = &bytes[taken as usize..];
                continue;
            }
            self.head[self.head_bytes] = bytes[0];
            self.head_bytes += 1;
            bytes = &bytes[1..];
            if let Some(content) = content_bytes(&self.head[..self.head_bytes]) {
                self.has_close |= self.head[0] & 0x0f == OPCODE_CLOSE;
                self.left = content;
                self.head_bytes = 0;
            }
        }
    }

    /// Whether a frame may follow: none is begun, and none said that it was the last.
    pub(crate) const fn is_open(&self) -> bool {
        self.left == 0 && self.head_bytes == 0 && !self.has_close
    }
}

/// The bytes that follow a frame's head, once the head is whole.
fn content_bytes(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    let (length_bytes, short) = match second & 0x7f {
        126 => (2, None),
        127 => (8, None),
        short => (0, Some(u64::from(short))),
    };
    if head.len() < 2 + length_bytes + mask_bytes {
        return None;
    }
    let long = || head[2..2 + length_bytes].iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    Some(short.unwrap_or_else(long))
}

/// A server's close frame. A reason that is too long is left out.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    let reason = if reason.len() <= REASON_BYTES_MAX { reason } else { "" };
    let mut frame = vec![CLOSE, 2 + reason.len() as u8];
    frame.extend(code.to_be_bytes());
    frame.extend(reason.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, content: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match content {
            0..126 => bytes.push(mask | content as u8),
            126..=0xffff => {
                bytes.push(mask | 0x7e);
                bytes.extend((content as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 0x7f);
                bytes.extend((content as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![0x88; content + if is_masked { 4 } else { 0 }]);
        bytes
    }

    #[test]
    fn it_is_open_between_frames_and_nowhere_else() {
        for is_masked in [false, true] {
            for content in [0, 1, 125, 126, 300, 70_000] {
                let bytes = [frame(2, content, is_masked), frame(1, 3, is_masked)].concat();
                let edge = bytes.len() - frame(1, 3, is_masked).len();
                for step in [1, 2, 7, 4_096] {
                    let mut edges = Edges::default();
                    let mut at = 0;
                    for chunk in bytes.chunks(step) {
                        edges.passed(chunk);
                        at += chunk.len();
                        assert_eq!(edges.is_open(), at == edge || at == bytes.len(), "{content} {step} {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn after_a_close_nothing_follows() {
        let mut edges = Edges::default();
        edges.passed(&frame(1, 8, false));
        assert!(edges.is_open());
        edges.passed(&close(1001, "bye"));
        assert!(!edges.is_open());
    }

    #[test]
    fn a_close_frame_is_one_whatever_its_reason() {
        assert_eq!(close(1012, "hi"), [0x88, 4, 0x03, 0xf4, b'h', b'i']);
        assert_eq!(close(1001, &"x".repeat(124)).len(), 4);
    }
}
