//! `admins add | ls | rm`.

use std::io::{self, BufRead as _, Read as _};

use anyhow::Context as _;
use greenroom_operations::secret;
use greenroom_protocol::{
    AdminId,
    admins::{AddAdmin, AdminList, AdminView, Role},
};
use reqwest::Method;

use super::shown;
use crate::{
    cli::{AdminsCommand, Server},
    exit::{Exit, Failed},
    http::Greenroom,
    listing::{self, Listed},
    output,
};

/// Most bytes of a password that are read; one more is too many for any.
const PASSWORD_BYTES_MAX: u64 = 257;

pub(crate) async fn run(server: Server, command: AdminsCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    match command {
        AdminsCommand::Add { name, role, password_stdin } => {
            add(&greenroom, server.json, name, &role, password_stdin).await
        }
        AdminsCommand::Ls { watch } => {
            listing::show(server.json, watch, async || {
                let answer = AdminList { admins: all(&greenroom).await?, next: None };
                let rows = answer.admins.iter().cloned().map(|admin| {
                    [admin.id.to_string(), admin.name, word(admin.role).to_owned(), shown(admin.created_at)]
                });
                let lines = output::table_lines(["ID", "NAME", "ROLE", "SINCE (UTC)"], rows);
                Listed::new(&answer, Some("admins"), "id", lines)
            })
            .await
        }
        AdminsCommand::Rm { name } => {
            let admins = all(&greenroom).await?;
            let id = id_of(&admins, &name)?;
            greenroom.send(greenroom.request(Method::DELETE, &format!("/v1/admins/{id}"))).await?;
            if server.json {
                return output::json(&serde_json::json!({ "id": id, "removed": true }));
            }
            output::line(&format!("{} is removed and signed out", output::printable(&name)));
            Ok(())
        }
    }
}

async fn add(
    greenroom: &Greenroom,
    json: bool,
    name: String,
    role: &str,
    password_stdin: bool,
) -> anyhow::Result<()> {
    let role = serde_json::from_value(role.into()).context("the role is none")?;
    let password = if password_stdin { password_of_stdin()? } else { secret::new_secret()? };
    let body = AddAdmin { name, password, role };
    let added: AdminView = greenroom.json(greenroom.request(Method::POST, "/v1/admins").json(&body)).await?;
    let made = (!password_stdin).then_some(body.password);
    if json {
        let mut value = serde_json::to_value(&added)?;
        if let Some(password) = made {
            value["password"] = password.into();
        }
        return output::json(&value);
    }
    match made {
        // The password alone on standard output, so that a script can take it.
        Some(password) => {
            output::line(&password);
            output::note(&format!(
                "{} signs in at {}/console with this password. This is the only time that it is shown.",
                output::printable(&added.name),
                greenroom.url()
            ));
        }
        None => output::line(&format!("{} is added", output::printable(&added.name))),
    }
    Ok(())
}

/// Every administrator, page after page.
async fn all(greenroom: &Greenroom) -> anyhow::Result<Vec<AdminView>> {
    let mut admins = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut request = greenroom.request(Method::GET, "/v1/admins");
        if let Some(cursor) = &cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let page: AdminList = greenroom.json(request).await?;
        admins.extend(page.admins);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(admins);
        }
    }
}

/// The one of this id, else of this name: names are unique, and none is another one's id.
fn id_of<'a>(admins: &'a [AdminView], named: &str) -> anyhow::Result<&'a AdminId> {
    let by_id = admins.iter().find(|admin| admin.id.as_str() == named);
    let found = by_id.or_else(|| admins.iter().find(|admin| admin.name == named));
    found.map(|admin| &admin.id).ok_or_else(|| {
        let sentence = format!(
            "there is no administrator {:?}; `greenroom admins ls` lists them",
            output::printable(named)
        );
        Failed::with(Exit::NotFound, sentence)
    })
}

fn password_of_stdin() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(PASSWORD_BYTES_MAX)
        .read_line(&mut line)
        .context("the password cannot be read from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        let sentence =
            "standard input has no password; write one, or leave --password-stdin out and one is made";
        return Err(Failed::with(Exit::Usage, sentence));
    }
    Ok(password.to_owned())
}

const fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Owner => "owner",
    }
}
