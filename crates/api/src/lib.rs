//! HTTP and WebSocket for players, studios and game servers.
//!
//! [`router`] puts every path over a [`Node`](greenroom_operations::Node); [`serve()`] serves it on
//! one listener. A handler extracts, authorises, calls one operation and answers. What concerns
//! every request (its id, limits, how errors are written, CORS, metrics) is in `around`.

mod address;
mod api;
mod around;
mod asyncapi;
mod credentials;
mod error;
mod extract;
mod gateway;
mod limits;
mod openapi;
mod pages;
mod routes;
mod serve;
mod settings;
mod socket;
mod tls;

pub use api::{ApiDeps, router};
pub use asyncapi::asyncapi;
pub use axum::Router;
pub use openapi::openapi;
pub use pages::{Page, static_pages};
pub use serve::{ServeSettings, serve};
pub use settings::{
    ApiSettings, GatewayLimits, ListLimits, Network, ProxyHeader, Rate, RateLimits, SocketLimits,
    TrustedProxies,
};
pub use tls::{Tls, TlsError, TlsFiles};
