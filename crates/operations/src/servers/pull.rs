//! A server whose host does not have its image: the image is pulled, and the server waits for it.

use greenroom_fleet::images::{PullFor, PullState};
use greenroom_protocol::{HostId, ServerId};

use super::Servers;

/// How far an instance is whose image was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageWait {
    /// The image is on its way.
    Waits,
    /// It has come.
    Came,
}

/// What became of an image that is missing.
pub(crate) enum Pull {
    /// It is on its way; the server is nudged when that is over.
    Waits,
    /// It does not come, for this reason.
    Failed(String),
}

impl Servers {
    /// Whether it is of no use to start the instance now.
    pub(crate) fn waits_for_image(&self, instance: &ServerId) -> bool {
        self.0.image_waits.lock().get(instance) == Some(&ImageWait::Waits)
    }

    /// Sees to it that the host gets `image`. The time that a server has until it is ready begins
    /// with its start; a pull has a time of its own.
    pub(crate) fn pull_for(&self, id: &ServerId, instance: &ServerId, host: &HostId, image: &str) -> Pull {
        let failed =
            |cause: &str| Pull::Failed(format!("the image {image} could not be pulled on {host}: {cause}"));
        if self.0.image_waits.lock().contains_key(instance) {
            return failed("it had come, and is gone again");
        }
        let mut progress = match self.0.images.pull(host, image, PullFor::Start) {
            Ok(progress) => progress,
            Err(error) => return failed(&error.to_string()),
        };
        if let PullState::Failed(cause) = &progress.borrow().state {
            return failed(cause);
        }
        tracing::info!(server = %id, %host, image, "a game server waits for its image, which its host does not have");
        self.0.image_waits.lock().insert(instance.clone(), ImageWait::Waits);
        let (servers, id, instance) = (self.clone(), id.clone(), instance.clone());
        self.0.tracker.spawn(async move {
            // A shutdown first: the next start takes the server up again.
            tokio::select! {
                biased;
                () = servers.0.shutdown.cancelled() => return,
                _ = progress.wait_for(greenroom_fleet::images::PullProgress::is_over) => {}
            }
            let came = progress.borrow().state == PullState::Done;
            {
                let mut waits = servers.0.image_waits.lock();
                // Without one, the server has been given up meanwhile.
                if let Some(wait) = waits.get_mut(&instance) {
                    *wait = ImageWait::Came;
                }
                if !came {
                    waits.remove(&instance);
                }
            }
            servers.nudge(&id);
        });
        Pull::Waits
    }
}
