//! How many may be passed on at once, in all and from one address.

use std::{net::IpAddr, sync::Arc};

use greenroom_protocol::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    address::limited_as,
    error::{ApiError, ApiResult},
    limits::{Place, Places},
    serve::ConnectionPlace,
    settings::GatewayLimits,
};

/// Places of those who are passed on.
pub(crate) struct GatewayPlaces {
    all: Arc<Semaphore>,
    by_address: Places<IpAddr>,
}

/// What is held for as long as somebody is passed on.
pub(crate) struct Held {
    _in_all: OwnedSemaphorePermit,
    _of_address: Place<IpAddr>,
    _connection: Option<ConnectionPlace>,
}

impl GatewayPlaces {
    pub(crate) fn new(limits: &GatewayLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections_max as usize)),
            by_address: Places::new(limits.connections_per_address_max),
        }
    }

    /// A place for `client`.
    pub(crate) fn take(&self, client: IpAddr, connection: Option<ConnectionPlace>) -> ApiResult<Held> {
        let refused = |reason: &'static str| {
            metrics::counter!("greenroom_gateway_refused_total", "reason" => reason).increment(1);
        };
        let of_address = self.by_address.take(&limited_as(client)).ok_or_else(|| {
            refused("address");
            let sentence =
                "Too many connections to game servers are open from your address. Close one, and try again.";
            ApiError::new(ErrorCode::RateLimited, sentence)
        })?;
        let in_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| {
            refused("all");
            let sentence = "As many connections to game servers are open as may be. Try again in a moment.";
            ApiError::new(ErrorCode::Busy, sentence)
        })?;
        metrics::gauge!("greenroom_gateway_connections").increment(1);
        Ok(Held { _in_all: in_all, _of_address: of_address, _connection: connection })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        metrics::gauge!("greenroom_gateway_connections").decrement(1);
    }
}
