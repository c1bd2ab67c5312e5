//! What can be asked for, whichever protocol it came by, and the codes of the answers.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use greenroom_domain::sdk::{Change, Counter, CounterChange, GameServer, List, Refusal};
use greenroom_protocol::ServerId;
use hyper::StatusCode;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Changed, SdkBackend, SdkError, Shared, serve::Pace};

/// The code of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    BadArgument,
    NotFound,
    AlreadyExists,
    Forbidden,
    WrongState,
    OutOfRange,
    NotImplemented,
    Unavailable,
}

impl Code {
    /// The one table: the status of HTTP, the code of gRPC, and the word of metrics.
    const fn row(self) -> (StatusCode, tonic::Code, &'static str) {
        match self {
            Self::Ok => (StatusCode::OK, tonic::Code::Ok, "ok"),
            Self::BadArgument => (StatusCode::BAD_REQUEST, tonic::Code::InvalidArgument, "bad_argument"),
            Self::NotFound => (StatusCode::NOT_FOUND, tonic::Code::NotFound, "not_found"),
            Self::AlreadyExists => (StatusCode::CONFLICT, tonic::Code::AlreadyExists, "already_exists"),
            Self::Forbidden => (StatusCode::FORBIDDEN, tonic::Code::PermissionDenied, "forbidden"),
            Self::WrongState => (StatusCode::BAD_REQUEST, tonic::Code::FailedPrecondition, "wrong_state"),
            Self::OutOfRange => (StatusCode::BAD_REQUEST, tonic::Code::OutOfRange, "out_of_range"),
            Self::NotImplemented => {
                (StatusCode::NOT_IMPLEMENTED, tonic::Code::Unimplemented, "not_implemented")
            }
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, tonic::Code::Unavailable, "unavailable"),
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        self.row().0
    }

    pub(super) const fn grpc(self) -> tonic::Code {
        self.row().1
    }
}

/// Why there is no other answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(Code::BadArgument, message)
    }
}

impl From<SdkError> for Failure {
    fn from(error: SdkError) -> Self {
        let code = match &error {
            SdkError::Refused(Refusal::BadArgument(_)) => Code::BadArgument,
            SdkError::Refused(Refusal::NotFound(_)) | SdkError::NotFound => Code::NotFound,
            SdkError::Refused(Refusal::AlreadyExists(_)) => Code::AlreadyExists,
            SdkError::Refused(Refusal::WrongState(_)) => Code::WrongState,
            SdkError::Refused(Refusal::OutOfRange(_)) => Code::OutOfRange,
            SdkError::Unavailable(_) => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

/// Counts a call with how it went.
pub(super) fn count<T>(call: &'static str, result: Result<T, Failure>) -> Result<T, Failure> {
    let code = result.as_ref().map_or_else(|failure| failure.code, |_| Code::Ok);
    metrics::counter!("greenroom_sdk_calls_total", "call" => call, "code" => code.row().2).increment(1);
    result
}

/// A game server that calls.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) shared: Arc<Shared>,
    pub(super) instance: Arc<ServerId>,
    /// How often it may call.
    pub(super) pace: Arc<Pace>,
    /// Its endpoint is closed.
    pub(super) closed: CancellationToken,
}

impl Caller {
    /// Waits until it is its turn; it is at once for those that do not call too often.
    pub(super) async fn turn(&self) {
        self.pace.turn().await;
    }

    pub(super) fn health(&self) -> Result<(), Failure> {
        self.backend()?.health(&self.instance);
        Ok(())
    }

    pub(super) async fn change(&self, change: Change) -> Result<Changed, Failure> {
        Ok(self.backend()?.change(&self.instance, change).await?)
    }

    pub(super) fn object(&self) -> Result<Arc<GameServer>, Failure> {
        Ok(Arc::clone(&self.receiver()?.borrow()))
    }

    /// The object as it is now, then the newest whenever it has changed; ends with the server.
    pub(super) fn watch(&self) -> Result<impl Stream<Item = Arc<GameServer>> + use<>, Failure> {
        let receiver = self.receiver()?;
        let objects = stream::unfold((receiver, true), async |(mut receiver, is_first)| {
            if !is_first {
                receiver.changed().await.ok()?;
            }
            let object = Arc::clone(&receiver.borrow_and_update());
            Some((object, (receiver, false)))
        });
        Ok(objects.take_until(self.closed.clone().cancelled_owned()))
    }

    /// For so many seconds; 0 means for ever.
    pub(super) async fn reserve(&self, seconds: i64) -> Result<(), Failure> {
        let Ok(seconds) = u64::try_from(seconds) else {
            return Err(Failure::bad(format!(
                "A reservation of {seconds} s is less than 0; expected seconds, or 0 for ever."
            )));
        };
        let time = (seconds > 0).then(|| Duration::from_secs(seconds));
        self.change(Change::Reserve(time)).await.map(drop)
    }

    pub(super) fn counter(&self, name: &str) -> Result<Counter, Failure> {
        let object = self.object()?;
        counter_of(&object, name)
    }

    pub(super) async fn update_counter(
        &self,
        name: &str,
        count: Option<i64>,
        capacity: Option<i64>,
        difference: i64,
    ) -> Result<Counter, Failure> {
        let change = match (difference, count, capacity) {
            (0, ..) => CounterChange::Set { count, capacity },
            (_, None, None) => CounterChange::By(difference),
            _ => return Err(Failure::bad("A counter is changed by a difference, or to numbers; not both.")),
        };
        let changed = self.change(Change::Counter { name: name.to_owned(), change }).await?;
        counter_of(&changed.object, name)
    }

    pub(super) fn list(&self, name: &str) -> Result<List, Failure> {
        let object = self.object()?;
        list_of(&object, name)
    }

    /// Changes a list and gives what it is then.
    pub(super) async fn change_list(&self, name: &str, change: Change) -> Result<List, Failure> {
        let changed = self.change(change).await?;
        list_of(&changed.object, name)
    }

    pub(super) fn players(&self) -> Result<List, Failure> {
        Ok(self.object()?.players().clone())
    }

    fn receiver(&self) -> Result<watch::Receiver<Arc<GameServer>>, Failure> {
        let receiver = self.backend()?.game_server(&self.instance);
        receiver.ok_or_else(|| SdkError::NotFound.into())
    }

    fn backend(&self) -> Result<&Arc<dyn SdkBackend>, Failure> {
        let starting = || Failure::new(Code::Unavailable, "Greenroom is starting; try again.");
        self.shared.backend.get().ok_or_else(starting)
    }
}

fn counter_of(object: &GameServer, name: &str) -> Result<Counter, Failure> {
    let counter = object.counters.get(name).copied();
    counter.ok_or_else(|| {
        Failure::new(
            Code::NotFound,
            format!("There is no counter \"{name}\"; the fleet's settings declare them."),
        )
    })
}

fn list_of(object: &GameServer, name: &str) -> Result<List, Failure> {
    let list = object.lists.get(name).cloned();
    list.ok_or_else(|| {
        Failure::new(
            Code::NotFound,
            format!("There is no list \"{name}\"; the fleet's settings declare them."),
        )
    })
}
