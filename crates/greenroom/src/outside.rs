//! The configuration as the outside understands it: limits, proxies, pages.

use std::{collections::BTreeMap, net::SocketAddr};

use greenroom_api::{
    ApiDeps, ApiSettings, GatewayLimits, ListLimits, Page, Rate, RateLimits, Router, ServeSettings,
    SocketLimits, Tls, TlsError, TlsFiles, TrustedProxies, router, static_pages,
};
use greenroom_console::{ClientAddress, ConsoleSettings};
use greenroom_fleet::images::{self, ImagesConfig, LookupPace, RegistryAccess, RegistryCredentials};
use greenroom_operations::{
    Node,
    players::{AuthSettings, DiscordSettings},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::{Config, sections::Limits, value};

/// What the router is told of the life cycle.
pub(crate) struct Lights {
    /// Whether requests are served.
    pub(crate) ready: watch::Receiver<bool>,
    /// Cancelled when Greenroom begins to stop.
    pub(crate) closing: CancellationToken,
    /// Counts the open sockets.
    pub(crate) sockets: TaskTracker,
}

/// Every path of Greenroom over `node`.
pub(crate) fn routes(config: &Config, node: Node, metrics: PrometheusHandle, lights: Lights) -> Router {
    let settings = api_settings(config);
    let mut extra = static_pages("/play/skirmish", |name| {
        let asset = skirmish::client::asset(name)?;
        Some(Page { content_type: asset.content_type, bytes: asset.bytes })
    });
    if config.root.console.enabled {
        extra = extra.merge(greenroom_console::router(node.clone(), console_settings(config)));
    }
    let Lights { ready, closing, sockets } = lights;
    router(ApiDeps { node, settings, metrics, ready, closing, tracker: sockets, extra })
}

/// How connections are treated.
pub(crate) fn serve_settings(config: &Config, tls: Option<Tls>) -> ServeSettings {
    let connections_max = config.root.limits.connections_max as usize;
    ServeSettings { connections_max, tls, ..ServeSettings::default() }
}

/// The certificate, if there is one.
pub(crate) async fn tls(config: &Config) -> Result<Option<Tls>, TlsError> {
    let Some(files) = &config.root.tls else { return Ok(None) };
    let files = TlsFiles { certificate: files.certificate.clone(), key: files.key.clone() };
    Tls::open(files).await.map(Some)
}

/// Where images come from, for the engines of all hosts.
pub(crate) fn images_config(
    config: &Config,
    engines: Vec<greenroom_fleet::docker::Connection>,
) -> ImagesConfig {
    let settings = &config.root.images;
    let unnamed = RegistryAccess::open(settings.default_registry_url.clone());
    let mut registries = BTreeMap::from([(images::DEFAULT_HOST.to_owned(), unnamed)]);
    for (host, registry) in &config.root.registries {
        let is_default = host == images::DEFAULT_HOST;
        let unset =
            || if is_default { settings.default_registry_url.clone() } else { format!("https://{host}") };
        let credentials = registry.username.clone().zip(registry.password.clone());
        let credentials = credentials.map(|(username, password)| RegistryCredentials { username, password });
        let url = registry.url.clone().unwrap_or_else(unset);
        registries.insert(host.clone(), RegistryAccess { url, credentials, ca: registry.ca.clone() });
    }
    let pace = LookupPace { registry_ttl: settings.lookup_ttl, ..LookupPace::default() };
    ImagesConfig { engines, registries, pace, pull_timeout: settings.pull_timeout }
}

/// How sign-ins behave, when Greenroom listens at `listen`.
pub(crate) fn auth_settings(config: &Config, listen: SocketAddr) -> AuthSettings {
    let auth = &config.root.auth;
    let base_url = auth.discord_base_url.trim_end_matches('/');
    AuthSettings {
        contract_access_ttl: auth.contract_token_ttl,
        access_ttl: auth.access_token_ttl,
        refresh_ttl: auth.refresh_token_ttl,
        console_ttl: config.root.console.session_ttl,
        audit_ttl: config.root.console.audit_ttl,
        discord: DiscordSettings {
            api_url: format!("{base_url}/api"),
            authorize_url: format!("{base_url}/oauth2/authorize"),
            application_id: auth.discord_application_id.clone(),
            ..DiscordSettings::default()
        },
        public_url: config.public_url(listen),
        mail: config.mail(),
        games: config.sign_in(),
    }
}

fn api_settings(config: &Config) -> ApiSettings {
    let limits = &config.root.limits;
    let gateway = &config.root.gateway;
    ApiSettings {
        limits: rate_limits(limits),
        trusted_proxies: trusted_proxies(config),
        body_bytes_max: usize::try_from(limits.body_max.0).unwrap_or(usize::MAX),
        sockets: SocketLimits {
            message_bytes_max: usize::try_from(limits.message_max.0).unwrap_or(usize::MAX),
            commands: rate(limits.messages_per_socket),
            ..SocketLimits::default()
        },
        list: ListLimits {
            sockets_max: limits.announced_max as usize,
            sockets_per_address_max: limits.announced_per_address_max,
            ..ListLimits::default()
        },
        traefik_token: config.root.traefik.token.clone(),
        gateway: GatewayLimits {
            connections_max: gateway.connections_max,
            connections_per_address_max: gateway.connections_per_address_max,
            idle_timeout: gateway.idle_timeout,
            connect_timeout: gateway.connect_timeout,
            answer_timeout: gateway.answer_timeout,
        },
        ..ApiSettings::default()
    }
}

fn trusted_proxies(config: &Config) -> TrustedProxies {
    let proxies = &config.root.trusted_proxies;
    TrustedProxies { networks: proxies.addresses.clone(), header: proxies.header, hops_max: proxies.hops }
}

fn rate_limits(limits: &Limits) -> RateLimits {
    RateLimits {
        sign_in: rate(limits.sign_ins_per_address),
        password: rate(limits.password_tries_per_account),
        mail: rate(limits.mails_per_address),
        mail_to: rate(limits.mails_per_recipient),
        anonymous: rate(limits.requests_per_address),
        presented: rate(limits.credentials_per_address),
        player: rate(limits.requests_per_player),
        caller: rate(limits.requests_per_key),
        allocate: rate(limits.allocations_per_key),
        allocate_public: rate(limits.allocations_per_address),
        sockets_per_address_max: limits.sockets_per_address_max,
        streams_per_caller_max: limits.streams_per_key_max,
        ..RateLimits::default()
    }
}

fn rate(rate: value::Rate) -> Rate {
    Rate { count: rate.count, period: rate.period }
}

fn console_settings(config: &Config) -> ConsoleSettings {
    let console = &config.root.console;
    let sign_ins = config.root.limits.admin_sign_ins_per_address;
    let proxies = trusted_proxies(config);
    ConsoleSettings {
        secure_cookies: console.secure_cookies || config.root.tls.is_some(),
        session_idle_max: console.session_ttl,
        sign_ins: greenroom_console::Rate { count: sign_ins.count.get(), period: sign_ins.period },
        client_address: ClientAddress::new(move |parts| proxies.client(parts)),
    }
}
