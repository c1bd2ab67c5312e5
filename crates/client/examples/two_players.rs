//! Two players sign in, meet in a lobby, get ready and start a match.
//!
//! `cargo run -p greenroom-client --example two_players -- http://127.0.0.1:4700`

use greenroom_client::{
    ClientError,
    player::{Player, PlayerSocket},
    protocol::lobby::{ClientMessage, LobbyCreate, LobbyJoin},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:4700".into());
    let (ann, ben) = (Player::sign_in(&url, "Ann").await?, Player::sign_in(&url, "Ben").await?);
    let (mut ann, mut ben) = (ann.connect().await?, ben.connect().await?);

    ann.send(&ClientMessage::Create(LobbyCreate::default())).await?;
    let lobby = ann.lobby().await?;
    println!("Ann made the lobby {}", lobby.code);
    ben.send(&ClientMessage::Join(LobbyJoin { code: Some(lobby.code), ..LobbyJoin::default() })).await?;
    ben.lobby().await?;
    for player in [&mut ann, &mut ben] {
        player.send(&ClientMessage::Ready { ready: true }).await?;
    }
    all_ready(&mut ann).await?;
    ann.send(&ClientMessage::Start).await?;
    for (name, player) in [("Ann", &mut ann), ("Ben", &mut ben)] {
        let started = player.match_started().await?;
        println!("{name} plays at {}:{}", started.server.address, started.server.port);
    }
    Ok(())
}

async fn all_ready(socket: &mut PlayerSocket) -> Result<(), ClientError> {
    loop {
        let lobby = socket.lobby().await?;
        let members = lobby.team_a.len() + lobby.team_b.len();
        if members == 2 && lobby.team_a.iter().chain(&lobby.team_b).all(|member| member.ready) {
            return Ok(());
        }
    }
}
