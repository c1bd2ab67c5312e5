//! The gateway: players who come by `/games/<slug>/<code>/…` are passed on to the game server, which
//! needs no port of its own to the outside. The prefix is taken off; requests and answers are
//! streamed, and a WebSocket becomes two plain streams with nothing between them.

mod copy;
mod frames;
mod headers;
mod link;
mod places;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Extension, Request, State},
    http::{HeaderValue, StatusCode, Uri, Version, header},
    response::Response,
    routing::any,
};
use greenroom_operations::servers::{RouteError, Target};
use greenroom_protocol::ErrorCode;
use hyper::{
    body::Incoming,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::server::TlsStream;
use uuid::Uuid;

use crate::{
    api::Api,
    around::ClientAddress,
    error::{ApiError, ApiResult},
    serve::{ConnectionPlace, Scheme},
};
use copy::{Ends, both_ways};
use headers::Origin;
use link::{Link, Moved};
pub(crate) use places::GatewayPlaces;
use places::Held;

/// How the gateway's paths begin.
const PREFIX: &str = "/games/";

/// Who is sent away because Greenroom stops comes back after this long at the soonest.
const RETRY_MIN: Duration = Duration::from_millis(500);

/// Every path of the gateway.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/games/{slug}/{code}", any(pass))
        .route("/games/{slug}/{code}/", any(pass))
        .route("/games/{slug}/{code}/{*rest}", any(pass))
}

/// Marks an answer that is a game server's: it goes to the client as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfServer;

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

async fn pass(
    State(api): State<Api>,
    Extension(ClientAddress(client)): Extension<ClientAddress>,
    connection: Option<Extension<ConnectionPlace>>,
    mut request: Request,
) -> ApiResult<Response> {
    let began = Instant::now();
    let uri = request.uri().clone();
    let place = Place::of(&uri).ok_or(RouteError::NotFound)?;
    let target = api.node.servers.route(place.slug, place.code)?;
    let held = api.gateway.take(client, connection.map(|Extension(place)| place))?;
    let stream = connect(&target, api.settings.gateway.connect_timeout).await?;
    let switch = headers::asks_for_websocket(request.headers()).then(|| hyper::upgrade::on(&mut request));
    to_server(&api, &mut request, &place, client, &target)?;

    let moved = Arc::new(Moved::default());
    let link = Link::new(stream, Arc::clone(&moved));
    let (mut sender, connection) = link::builder().handshake(TokioIo::new(link)).await.map_err(no_answer)?;
    let held = Arc::new(held);
    let passing = link::drive(
        connection.with_upgrades(),
        Arc::clone(&moved),
        api.settings.gateway.idle_timeout,
        target.ended.clone(),
        api.node.shutdown.clone(),
    );
    let (driven, game) = (Arc::clone(&held), place.slug.to_owned());
    api.node.tracker.spawn(async move {
        passing.await;
        moved.record(&game);
        drop(driven);
    });
    let answer = timeout(api.settings.gateway.answer_timeout, sender.send_request(request)).await;
    let mut answer = answer.map_err(no_answer)?.map_err(no_answer)?;
    metrics::histogram!("greenroom_gateway_answer_seconds", "game" => place.slug.to_owned())
        .record(began.elapsed());

    headers::toward_client(answer.headers_mut());
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::sandbox(answer.headers_mut());
        answer.extensions_mut().insert(OfServer);
        return Ok(answer.map(Body::new));
    }
    let switch = switch.ok_or_else(|| {
        ApiError::new(ErrorCode::BadGateway, "The game server switches to a protocol that was not asked for.")
    })?;
    Ok(switched(&api, place.slug, target, held, switch, answer))
}

async fn connect(target: &Target, time_max: Duration) -> ApiResult<TcpStream> {
    let connected = timeout(time_max, TcpStream::connect(target.address)).await;
    let stream = connected.map_err(no_answer)?.map_err(no_answer)?;
    stream.set_nodelay(true).map_err(no_answer)?;
    Ok(stream)
}

fn no_answer(cause: impl std::error::Error + Send + Sync + 'static) -> ApiError {
    let sentence = "The game server does not answer. It may be ending; try again in a moment.";
    ApiError::new(ErrorCode::BadGateway, sentence).because(cause)
}

/// Makes the client's request ours to the game server.
fn to_server(
    api: &Api,
    request: &mut Request,
    place: &Place<'_>,
    client: IpAddr,
    target: &Target,
) -> ApiResult<()> {
    let extensions = request.extensions();
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    // Without a connection there is only a test.
    let peer = peer.map_or(Ipv4Addr::LOCALHOST.into(), |ConnectInfo(peer)| peer.ip()).to_canonical();
    let scheme = extensions.get::<Scheme>().copied().unwrap_or(Scheme::Http);
    let origin = Origin {
        peer,
        client,
        peer_is_trusted: api.settings.trusted_proxies.trusts(peer),
        scheme: scheme.as_str(),
        prefix: place.prefix,
    };
    headers::toward_server(request.headers_mut(), &origin);
    if !request.headers().contains_key(header::HOST)
        && let Ok(host) = HeaderValue::from_str(&target.address.to_string())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let slash = if place.rest.starts_with('/') { "" } else { "/" };
    let uri = format!("{slash}{}", place.rest).parse();
    *request.uri_mut() = uri.map_err(|_| ApiError::bad_request("The path is not valid."))?;
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}

/// Answers that the protocol is switched, and then passes on bytes until one side ends.
fn switched(
    api: &Api,
    game: &str,
    target: Target,
    held: Arc<Held>,
    client: OnUpgrade,
    mut answer: hyper::Response<Incoming>,
) -> Response {
    let server = hyper::upgrade::on(&mut answer);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    headers::switch_protocol(response.headers_mut());

    let (settings, closing, game) = (api.settings.gateway, api.closing.clone(), game.to_owned());
    // Counted from here on: no moment passes in which the socket is counted by nobody.
    api.tracker.spawn(async move {
        let both = async { tokio::try_join!(client, server) };
        let Ok(Ok((client, server))) = timeout(settings.answer_timeout, both).await else {
            tracing::debug!(server = %target.server, "a player was gone before the socket was open");
            return;
        };
        let Ok(server) = server.downcast::<TokioIo<Link>>() else {
            tracing::error!("the connection to a game server is not the one that was made");
            return;
        };
        let (stream, moved) = server.io.into_inner().into_parts();
        let ends = Ends {
            server: &target.ended,
            greenroom: &closing,
            idle: settings.idle_timeout,
            retry_after: retry_after(),
        };
        // Each kind of stream on its own, so that nothing stands between it and the system.
        let (end, passed) = match unwrap::<TcpStream>(client) {
            Ok((client, first)) => both_ways(client, &first, stream, &server.read_buf, ends).await,
            Err(client) => match unwrap::<TlsStream<TcpStream>>(client) {
                Ok((client, first)) => both_ways(client, &first, stream, &server.read_buf, ends).await,
                Err(client) => both_ways(TokioIo::new(client), &[], stream, &server.read_buf, ends).await,
            },
        };
        moved.add(passed.up, passed.down);
        moved.record(&game);
        let labels = [("game", game), ("end", end.as_str().to_owned())];
        metrics::counter!("greenroom_gateway_sockets_total", &labels).increment(1);
        tracing::debug!(server = %target.server, end = end.as_str(), up = passed.up, down = passed.down, "a player's socket ended");
        drop(held);
    });
    response
}

/// The stream below, and what was already read of it.
fn unwrap<T>(upgraded: Upgraded) -> Result<(T, axum::body::Bytes), Upgraded>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    T: 'static,
{
    upgraded.downcast::<TokioIo<T>>().map(|parts| (parts.io.into_inner(), parts.read_buf))
}

/// Spread over some seconds, so that not all come back at once.
fn retry_after() -> Duration {
    RETRY_MIN + Duration::from_millis(u64::from(Uuid::new_v4().as_bytes()[0]) * 16)
}

/// What a path of the gateway names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place<'a> {
    slug: &'a str,
    code: &'a str,
    /// Slug and code with what stands before them.
    prefix: &'a str,
    /// Path and query for the game server.
    rest: &'a str,
}

impl<'a> Place<'a> {
    fn of(uri: &'a Uri) -> Option<Self> {
        let whole = uri.path_and_query()?.as_str();
        let (slug, after) = whole.strip_prefix(PREFIX)?.split_once('/')?;
        let code = &after[..after.find(['/', '?']).unwrap_or(after.len())];
        let prefix = &whole[..PREFIX.len() + slug.len() + 1 + code.len()];
        Some(Self { slug, code, prefix, rest: &whole[prefix.len()..] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_place_and_a_rest() {
        for (uri, rest) in [
            ("/games/race/AB3D", ""),
            ("/games/race/AB3D/", "/"),
            ("/games/race/AB3D?a=/b", "?a=/b"),
            ("/games/race/AB3D/ws?a=1", "/ws?a=1"),
            ("/games/race/AB3D//x/%2e", "//x/%2e"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let place = Place { slug: "race", code: "AB3D", prefix: "/games/race/AB3D", rest };
            assert_eq!(Place::of(&uri), Some(place), "{uri}");
        }
        assert_eq!(Place::of(&"/games/race".parse().unwrap()), None);
        assert_eq!(Place::of(&"/other/race/AB3D".parse().unwrap()), None);
    }
}
