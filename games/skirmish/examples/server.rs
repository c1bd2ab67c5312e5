//! The game server without Greenroom: `cargo run -p skirmish --example server -- --port 7777`.
//! Whoever connects to `ws://127.0.0.1:7777/play?name=<name>` plays.

use clap::Parser;
use skirmish::server::{self, Args, Error};

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().init();
    server::run(CommandLine::parse().args).await
}
