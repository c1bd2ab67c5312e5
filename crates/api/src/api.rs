//! What every handler shares, and the router over it.

use std::{ops::Deref, sync::Arc};

use axum::Router;
use greenroom_operations::Node;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{gateway::GatewayPlaces, limits::Limits, routes, settings::ApiSettings};

/// What the outside stands on.
pub struct ApiDeps {
    /// All operations.
    pub node: Node,
    /// Limits and behaviour.
    pub settings: ApiSettings,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// What `/readyz` tells.
    pub ready: watch::Receiver<bool>,
    /// Cancelled when Greenroom begins to stop, the same that [`serve()`](crate::serve()) is given:
    /// streams end, new sockets are asked to come back later. After it the sockets that are open
    /// are closed by [`Hub::close_all`](greenroom_operations::realtime::Hub::close_all).
    pub closing: CancellationToken,
    /// Counts every open socket until it is closed; the same that [`serve()`](crate::serve()) is given.
    pub tracker: TaskTracker,
    /// Further pages: the console, the demo. It must have no fallback of its own.
    pub extra: Router,
}

/// Every path of Greenroom.
pub fn router(deps: ApiDeps) -> Router {
    let ApiDeps { node, settings, metrics, ready, closing, tracker, extra } = deps;
    let limits = Limits::new(&settings.limits, &settings.list);
    let gateway = GatewayPlaces::new(&settings.gateway);
    let api = Api(Arc::new(Shared { node, settings, limits, gateway, metrics, ready, closing, tracker }));
    routes::router(api, extra)
}

/// What every handler shares. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) node: Node,
    pub(crate) settings: ApiSettings,
    pub(crate) limits: Limits,
    pub(crate) gateway: GatewayPlaces,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) closing: CancellationToken,
    pub(crate) tracker: TaskTracker,
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
