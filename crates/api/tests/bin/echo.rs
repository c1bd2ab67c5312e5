//! A game server that says what it was asked: over HTTP, and over a WebSocket.

use std::{io, net::Ipv4Addr};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, WebSocketUpgrade, ws::Message},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use serde_json::json;
use tokio::net::TcpListener;

pub(crate) fn run(port: u16) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let routes = Router::new()
            .route("/ws", get(socket))
            .route("/echo", post(async |body: Bytes| body))
            .route("/gone", any(async || StatusCode::NOT_FOUND))
            .route("/never", any(async || std::future::pending::<()>().await))
            .route("/page", get(async || ([("set-cookie", "a=1"), ("content-type", "text/html")], "<p>")))
            .fallback(asked);
        axum::serve(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?, routes).await
    })
}

async fn asked(request: Request) -> Response {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    Json(json!({ "uri": request.uri().to_string(), "headers": headers })).into_response()
}

async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["race.v1"]).on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if message == Message::text("end") || socket.send(message).await.is_err() {
                return;
            }
        }
    })
}
