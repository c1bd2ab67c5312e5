//! Reading server-sent events.

use reqwest::Response;

/// Longest event that is read, in bytes.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// What goes on after it is asked for by.
    pub(crate) id: Option<String>,
    /// What it is called; empty for one without a name.
    pub(crate) name: String,
    /// What it says.
    pub(crate) data: Vec<u8>,
}

/// The events of an answer.
pub(crate) struct Events {
    response: Response,
    unread: Vec<u8>,
}

impl Events {
    pub(crate) fn new(response: Response) -> Self {
        Self { response, unread: Vec::new() }
    }

    /// The next event that says something; none when the connection broke off. Nothing is lost when the future is
    /// dropped.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            while let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let event = parsed(&self.unread[..end]);
                self.unread.drain(..end + 2);
                if event.is_some() {
                    return Ok(event);
                }
            }
            let Ok(Some(chunk)) = self.response.chunk().await else { return Ok(None) };
            self.unread.extend_from_slice(&chunk);
            anyhow::ensure!(self.unread.len() <= EVENT_BYTES_MAX, "the stream's events are too long");
        }
    }
}

/// An event of its lines; none of a comment. Ours have their data in one line.
fn parsed(lines: &[u8]) -> Option<Event> {
    let (mut event, mut says) = (Event::default(), false);
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (field, value) = (&line[..colon], &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => (event.data, says) = (value.to_vec(), true),
            b"id" => event.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"event" => event.name = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
    }
    says.then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_an_event_is_its_line() {
        let data = |text: &[u8]| parsed(text).map(|event| event.data);
        assert_eq!(data(b"data: {}"), Some(b"{}".to_vec()));
        assert_eq!(data(b": keep-alive"), None);
        assert_eq!(data(b"event: x\ndata:1"), Some(b"1".to_vec()));
        let event = parsed(b"id: 7\nevent: gap\ndata: a: b").unwrap();
        assert_eq!(
            (event.id.as_deref(), event.name.as_str(), &event.data[..]),
            (Some("7"), "gap", &b"a: b"[..])
        );
    }
}
