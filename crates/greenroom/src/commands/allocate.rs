//! `allocate`: one game server for a match.

use std::io::{self, Read as _};

use anyhow::Context as _;
use greenroom_protocol::hosting::{AllocateRequest, AllocateResponse, PAYLOAD_BYTES_MAX};
use reqwest::{Method, header::HeaderValue};

use crate::{
    cli::{Allocate, Server},
    exit::{Exit, Failed},
    http::Greenroom,
    output,
};

pub(crate) async fn run(server: Server, arguments: Allocate) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    let game = greenroom.game(arguments.game)?;
    let payload = match arguments.payload.as_deref() {
        Some("-") => Some(payload_of_stdin()?),
        Some(text) => Some(text.to_owned()),
        None => None,
    };
    let body = AllocateRequest {
        region: arguments.region,
        payload,
        version: arguments.version,
        title: arguments.title,
        listed: arguments.listed,
        ..AllocateRequest::default()
    };
    let mut request = greenroom.request(Method::POST, &format!("/v1/games/{game}/servers")).json(&body);
    if let Some(key) = arguments.idempotency_key {
        let sentence = "--idempotency-key has characters that no header may have; use letters and digits";
        let key = HeaderValue::from_str(&key).map_err(|_| Failed::with(Exit::Usage, sentence))?;
        request = request.header("Idempotency-Key", key);
    }
    let answer: AllocateResponse = greenroom.json(request).await?;
    if server.json {
        return output::json(&answer);
    }
    let allocated = &answer.server;
    output::line(&format!(
        "{}  {}:{}  {}",
        allocated.id,
        allocated.address,
        allocated.port,
        output::printable(&allocated.name)
    ));
    Ok(())
}

fn payload_of_stdin() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(PAYLOAD_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .context("standard input cannot be read")?;
    if bytes.len() > PAYLOAD_BYTES_MAX {
        let sentence =
            format!("the payload has more than {PAYLOAD_BYTES_MAX} bytes; hand over a smaller one");
        return Err(Failed::with(Exit::Usage, sentence));
    }
    String::from_utf8(bytes).map_err(|_| Failed::with(Exit::Usage, "the payload is no UTF-8; hand over text"))
}
