//! `keys create | ls | revoke`.

use greenroom_protocol::keys::{CreateKey, KeyList, KeyView, NewKey};
use reqwest::Method;

use super::{from_now, or_dash, shown};
use crate::{
    cli::{KeysCommand, Server},
    exit::{Exit, Failed},
    http::Greenroom,
    listing::{self, Listed},
    output,
};

pub(crate) async fn run(server: Server, command: KeysCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    match command {
        KeysCommand::Create { name, studio, game, hosting, admin, publish, subscribe, expires_in } => {
            if studio.is_none() && greenroom.is_admin() {
                let sentence = "no studio is named, and the admin token is of none; add --studio <STUDIO>";
                return Err(Failed::with(Exit::Usage, sentence));
            }
            let expires_at = expires_in.map(from_now);
            let body = CreateKey { name, studio, game, hosting, admin, publish, subscribe, expires_at };
            let answer: NewKey =
                greenroom.json(greenroom.request(Method::POST, "/v1/keys").json(&body)).await?;
            if server.json {
                return output::json(&answer);
            }
            // The key alone on standard output, so that a script can take it.
            output::line(&answer.key);
            output::note("This is the only time that it is shown.");
            Ok(())
        }
        KeysCommand::Ls { watch } => {
            listing::show(server.json, watch, async || {
                let answer: KeyList = greenroom.json(greenroom.request(Method::GET, "/v1/keys")).await?;
                let rows = answer.keys.iter().cloned().map(row);
                let heads = ["ID", "NAME", "STUDIO", "GAME", "MAY", "STATE", "LAST USED (UTC)"];
                Listed::new(&answer, Some("keys"), "id", output::table_lines(heads, rows))
            })
            .await
        }
        KeysCommand::Revoke { id } => {
            greenroom.send(greenroom.request(Method::DELETE, &format!("/v1/keys/{id}"))).await?;
            if server.json {
                return output::json(&serde_json::json!({ "id": id, "revoked": true }));
            }
            output::line(&format!("{id} is revoked"));
            Ok(())
        }
    }
}

fn row(key: KeyView) -> [String; 7] {
    let may = [("hosting", key.hosting), ("admin", key.admin)];
    let may: Vec<_> = may.into_iter().filter_map(|(name, may)| may.then_some(name)).collect();
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", shown(at)),
        (None, Some(at)) => format!("until {}", shown(at)),
        (None, None) => "good".into(),
    };
    let game = key.game.map_or_else(|| "all".to_owned(), |game| game.to_string());
    [
        key.id.to_string(),
        key.name,
        key.studio.to_string(),
        game,
        may.join(", "),
        state,
        or_dash(key.last_used_at.map(shown)),
    ]
}
