//! Answers that go on: bounded per caller, ended when Greenroom stops.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use greenroom_protocol::ErrorCode;

use crate::{
    api::Api,
    credentials::Caller,
    error::{ApiError, ApiResult},
    limits::Place,
};

/// A caller's place among its open streams.
pub(super) fn take_place(api: &Api, caller: &Caller) -> ApiResult<Place<Arc<str>>> {
    let max = api.settings.limits.streams_per_caller_max;
    let sentence = || format!("You have {max} streams open already. Close one, and try again.");
    api.limits.streams.take(&caller.name).ok_or_else(|| ApiError::new(ErrorCode::LimitReached, sentence()))
}

/// `items` for as long as the place is held and Greenroom does not stop.
pub(super) fn bounded<T>(
    api: &Api,
    place: Place<Arc<str>>,
    items: impl Stream<Item = T> + Send + 'static,
) -> impl Stream<Item = T> + Send + 'static
where
    T: Send + 'static,
{
    let closing = api.closing.clone();
    items.take_until(async move { closing.cancelled_owned().await }).map(move |item| {
        let _held = &place;
        item
    })
}
