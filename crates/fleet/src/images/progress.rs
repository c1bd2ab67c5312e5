//! How far a pull is, out of the lines that an engine writes about it.

use std::collections::HashMap;

use bollard::models::CreateImageInfo;

/// Most layers of an image that are told apart.
const LAYERS_MAX: usize = 512;

/// How far a pull is. `bytes_total` grows while the engine learns of layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Where it is.
    pub state: PullState,
    /// Layers that are there, unpacked.
    pub layers_done: u32,
    /// Layers of the image, as far as they are known.
    pub layers_total: u32,
    /// Bytes that were fetched.
    pub bytes_done: u64,
    /// Bytes that are to be fetched, as far as they are known.
    pub bytes_total: u64,
}

/// Where a pull is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PullState {
    /// It waits until others are done.
    #[default]
    Waiting,
    /// The engine fetches it.
    Pulling,
    /// The image is there.
    Done,
    /// The image is not there; the sentence says why.
    Failed(String),
}

impl PullProgress {
    /// Whether nothing more comes.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, PullState::Done | PullState::Failed(_))
    }
}

/// The layers of one pull.
#[derive(Debug, Default)]
pub(super) struct Layers(HashMap<String, Layer>);

#[derive(Clone, Copy, Debug, Default)]
struct Layer {
    fetched: u64,
    size: u64,
    is_done: bool,
}

impl Layers {
    /// Takes in one line; whether it changed anything.
    pub(super) fn take_in(&mut self, line: &CreateImageInfo) -> bool {
        let (Some(id), Some(status)) = (&line.id, &line.status) else { return false };
        let begins = matches!(status.as_str(), "Pulling fs layer" | "Waiting" | "Already exists");
        if !self.0.contains_key(id) && (!begins || self.0.len() >= LAYERS_MAX) {
            // Lines about the image as a whole carry its tag where a layer's carry the layer.
            return false;
        }
        let layer = self.0.entry(id.clone()).or_default();
        let before = (layer.fetched, layer.size, layer.is_done);
        match status.as_str() {
            "Downloading" => {
                let detail = line.progress_detail.as_ref();
                let number = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok());
                // It goes back where the engine tries a layer anew; so does this.
                layer.fetched = number(detail.and_then(|detail| detail.current)).unwrap_or(layer.fetched);
                layer.size = number(detail.and_then(|detail| detail.total)).unwrap_or(layer.size);
            }
            "Verifying Checksum" | "Download complete" | "Extracting" => layer.fetched = layer.size,
            "Pull complete" => {
                layer.fetched = layer.size;
                layer.is_done = true;
            }
            "Already exists" => layer.is_done = true,
            _ => {}
        }
        before != (layer.fetched, layer.size, layer.is_done)
    }

    /// How far they are together.
    pub(super) fn progress(&self) -> PullProgress {
        let sum = |of: fn(&Layer) -> u64| self.0.values().map(of).fold(0, u64::saturating_add);
        PullProgress {
            state: PullState::Pulling,
            layers_done: self.0.values().filter(|layer| layer.is_done).count() as u32,
            layers_total: self.0.len() as u32,
            bytes_done: sum(|layer| layer.fetched),
            bytes_total: sum(|layer| layer.size.max(layer.fetched)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn line(id: &str, status: &str, at: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: at
                .map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn layers_add_up() {
        let mut layers = Layers::default();
        assert!(!layers.take_in(&line("1.2.0", "Pulling from studio/game", None)));
        layers.take_in(&line("a", "Already exists", None));
        layers.take_in(&line("b", "Pulling fs layer", None));
        layers.take_in(&line("c", "Pulling fs layer", None));
        assert!(layers.take_in(&line("b", "Downloading", Some((10, 100)))));
        assert!(layers.take_in(&line("c", "Downloading", Some((5, 50)))));
        let expected = PullProgress {
            state: PullState::Pulling,
            layers_done: 1,
            layers_total: 3,
            bytes_done: 15,
            bytes_total: 150,
        };
        assert_eq!(layers.progress(), expected);
        layers.take_in(&line("b", "Download complete", None));
        layers.take_in(&line("b", "Pull complete", None));
        assert!(!layers.take_in(&line("1.2.0", "Digest: sha256:00", None)));
        let progress = layers.progress();
        assert_eq!((progress.layers_done, progress.bytes_done), (2, 105));
    }

    #[test]
    fn nonsense_is_borne() {
        let mut layers = Layers::default();
        layers.take_in(&line("a", "Pulling fs layer", None));
        layers.take_in(&line("a", "Downloading", Some((-4, i64::MIN))));
        layers.take_in(&line("a", "Downloading", Some((i64::MAX, 1))));
        assert_eq!(layers.progress().bytes_done, i64::MAX as u64);
        for id in 0..2_000 {
            layers.take_in(&line(&id.to_string(), "Waiting", None));
        }
        assert_eq!(layers.progress().layers_total as usize, LAYERS_MAX);
    }
}
