//! What is asked of a container engine about images.

use std::{collections::BTreeSet, time::Duration};

use bollard::{
    auth::DockerCredentials,
    models::CreateImageInfo,
    query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder},
};
use futures_util::{Stream, StreamExt as _};
use secrecy::ExposeSecret as _;

use super::{
    error::ImageError,
    reference::{DEFAULT_HOST, Repository},
    registry::RegistryCredentials,
};
use crate::docker::{Connection, EngineError};

/// How long an engine may take to tell which images it has.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Longest words of an engine that are repeated, in characters.
const WORDS_CHARS_MAX: usize = 300;

const PULL: &str = "pulling an image";

/// The tags of `repository` that the engine has.
pub(super) async fn tags(
    connection: &Connection,
    repository: &Repository,
) -> Result<BTreeSet<String>, ImageError> {
    let options = ListImagesOptionsBuilder::new().build();
    let images = connection
        .call("listing its images", ANSWER_MAX, async |docker| docker.list_images(Some(options)).await)
        .await
        .map_err(|error| fault(connection, &error))?;
    // The engine's own names leave out its default registry: names are compared as it means them.
    let names = images.iter().flat_map(|image| &image.repo_tags);
    let tagged = names.filter_map(|name| Repository::parse_tagged(name));
    Ok(tagged.filter(|(found, _)| found == repository).map(|(_, tag)| tag.to_owned()).collect())
}

/// Whether the engine has `image`.
pub(super) async fn has(connection: &Connection, image: &str) -> Result<bool, ImageError> {
    let asked = connection
        .call("looking at an image", ANSWER_MAX, async |docker| docker.inspect_image(image).await)
        .await;
    match asked {
        Ok(_) => Ok(true),
        Err(EngineError::NotFound { .. }) => Ok(false),
        Err(error) => Err(fault(connection, &error)),
    }
}

/// Makes the engine fetch an image, and gives what it says meanwhile. Dropped, it stops.
pub(super) fn pull(
    connection: &Connection,
    repository: &Repository,
    tag: &str,
    credentials: Option<&RegistryCredentials>,
) -> Result<impl Stream<Item = Result<CreateImageInfo, String>> + Send + use<>, ImageError> {
    let docker = connection.client().map_err(|error| fault(connection, &error))?;
    let name = format!("{}/{}", repository.host, repository.path);
    let options = CreateImageOptionsBuilder::new().from_image(&name).tag(tag).build();
    let credentials = credentials.map(|credentials| DockerCredentials {
        username: Some(credentials.username.clone()),
        password: Some(credentials.password.expose_secret().to_owned()),
        serveraddress: Some(match repository.host.as_str() {
            // What the engine knows its default registry by.
            DEFAULT_HOST => "https://index.docker.io/v1/".to_owned(),
            host => host.to_owned(),
        }),
        ..DockerCredentials::default()
    });
    let connection = connection.clone();
    let lines = docker.create_image(Some(options), None, credentials).boxed();
    Ok(lines.map(move |line| match line {
        Ok(line) => match line.error_detail.as_ref().and_then(|detail| detail.message.as_ref()) {
            Some(message) => Err(shortened(message)),
            None => Ok(line),
        },
        Err(error) => {
            let error = connection.explain(PULL, &error);
            Err(shortened(error.message().unwrap_or(&error.to_string())))
        }
    }))
}

fn fault(connection: &Connection, error: &EngineError) -> ImageError {
    ImageError::Engine { host: connection.host().clone(), cause: shortened(&error.to_string()) }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX).collect()
}
