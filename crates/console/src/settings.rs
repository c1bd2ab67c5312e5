//! What the operator decides about the console.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{extract::ConnectInfo, http::request::Parts};

/// How the console behaves.
#[derive(Clone)]
pub struct ConsoleSettings {
    /// Cookies are sent over HTTPS only. Right whenever players of yours reach this over the
    /// internet; wrong for plain HTTP on a private network, where browsers would not keep them.
    pub secure_cookies: bool,
    /// How long an operator stays signed in without opening a page or changing anything. A page
    /// that only stands open does not count.
    pub session_idle_max: Duration,
    /// How often one address may try to sign in.
    pub sign_ins: Rate,
    /// How the caller's address is told.
    pub client_address: ClientAddress,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            secure_cookies: false,
            session_idle_max: Duration::from_hours(12),
            sign_ins: Rate { count: 10, period: Duration::from_mins(1) },
            client_address: ClientAddress::default(),
        }
    }
}

/// So many at once, and as many again per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub period: Duration,
}

/// How the address of a caller is told from its request. The default is the address at the other
/// end of the connection, which [`ConnectInfo`] carries; behind a proxy it must be taken from what
/// the proxy says, and only if the proxy is trusted.
#[derive(Clone)]
pub struct ClientAddress(Arc<Tell>);

type Tell = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;

impl ClientAddress {
    /// The address is what `tell` answers; callers without one share one limit.
    pub fn new(tell: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn of(&self, parts: &Parts) -> Option<IpAddr> {
        (self.0)(parts)
    }
}

impl Default for ClientAddress {
    fn default() -> Self {
        Self::new(|parts| {
            parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
        })
    }
}
