//! Asks a registry for the tags of an image. Source: the OCI distribution specification, and the
//! distribution project's token authentication.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use greenroom_domain::versions::TaggedVersion;
use parking_lot::Mutex;
use reqwest::{Response, StatusCode, Url, header};
use rustls::{CertificateError, InvalidMessage};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::OnceCell, time::timeout};

use super::{challenge::Challenge, error::ImageError, reference::Repository};
use crate::{
    causes::{any_io, find},
    pem,
};

/// How long connecting to a registry may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long all pages together may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_mins(1);

/// Tags that are asked for at a time.
const PAGE_TAGS: u32 = 1_000;

/// Most pages of one list.
const PAGES_MAX: usize = 200;

/// Most tags of one list that are versions.
const TAGS_MAX: usize = 20_000;

/// Largest answer that is read.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Longest pause that a registry can make us take.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(15);

/// Where a registry is, and who we are to it.
#[derive(Clone, Debug)]
pub struct RegistryAccess {
    /// Its address, such as `https://ghcr.io`.
    pub url: String,
    /// Name and password, or name and token; without them nobody in particular asks.
    pub credentials: Option<RegistryCredentials>,
    /// The file of the certificates of those who may have signed its own, as PEM, beside those that this
    /// machine trusts. Read for each lookup.
    pub ca: Option<PathBuf>,
}

impl RegistryAccess {
    /// To one that is asked by nobody in particular.
    pub const fn open(url: String) -> Self {
        Self { url, credentials: None, ca: None }
    }
}

/// What is wrong with a file of authorities as it is now, as a sentence.
pub fn ca_problem(ca: &Path) -> Option<String> {
    pem::read(ca).and_then(|bytes| pem::authorities(ca, &bytes)).err()
}

/// Who we are to a registry.
#[derive(Clone, Debug)]
pub struct RegistryCredentials {
    /// The name.
    pub username: String,
    /// The password, or a token in its place.
    pub password: SecretString,
}

/// Asks registries. Cheap to clone, and made when the first is asked: the certificates that this machine
/// trusts take a megabyte.
#[derive(Clone, Debug, Default)]
pub(super) struct RegistryClient {
    plain: Arc<OnceCell<reqwest::Client>>,
    /// Those that trust a file's authorities too, and what the file held.
    trusting: Arc<Mutex<BTreeMap<PathBuf, Trusting>>>,
}

/// What a file held, and who trusts it.
type Trusting = (Vec<u8>, reqwest::Client);

/// One list being read.
struct Lookup<'a> {
    http: &'a reqwest::Client,
    access: &'a RegistryAccess,
    base: Url,
    repository: &'a Repository,
    authorization: Authorization,
}

#[derive(Clone)]
enum Authorization {
    None,
    Basic,
    Bearer(SecretString),
}

#[derive(Deserialize)]
struct TagPage {
    // Some registries say `null` where there are none.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: SecretString,
}

impl RegistryClient {
    /// The tags of `repository` that are versions, in the registry's order.
    pub(super) async fn tags(
        &self,
        access: &RegistryAccess,
        repository: &Repository,
    ) -> Result<Vec<String>, ImageError> {
        let base = Url::parse(&access.url).map_err(|error| ImageError::Registry {
            host: repository.host.clone(),
            cause: format!("its address {:?} is none ({error})", access.url),
        })?;
        let http = match &access.ca {
            None => self.plain().await,
            Some(ca) => self.trusting(ca).await,
        };
        let http = http.map_err(|cause| ImageError::Registry { host: repository.host.clone(), cause })?;
        let mut lookup = Lookup { http: &http, access, base, repository, authorization: Authorization::None };
        match timeout(LOOKUP_TIMEOUT, lookup.tags()).await {
            Ok(tags) => tags,
            Err(_) => Err(lookup.unreachable("it took too long".into())),
        }
    }

    async fn plain(&self) -> Result<reqwest::Client, String> {
        let make = async || match tokio::task::spawn_blocking(|| client().build()).await {
            Ok(made) => made.map_err(|error| format!("the HTTP client for it cannot be made: {error}")),
            Err(panic) => Err(panic.to_string()),
        };
        self.plain.get_or_try_init(make).await.cloned()
    }

    /// One that trusts the authorities that stand in the file now.
    async fn trusting(&self, ca: &Path) -> Result<reqwest::Client, String> {
        let path = ca.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let bytes = pem::read(&path)?;
            // What is no good is said by its file.
            pem::authorities(&path, &bytes).map(|_good| bytes)
        });
        let bytes = read.await.map_err(|panic| panic.to_string())??;
        if let Some((known, client)) = self.trusting.lock().get(ca)
            && *known == bytes
        {
            return Ok(client.clone());
        }
        let made = reqwest::Certificate::from_pem_bundle(&bytes)
            .and_then(|certificates| client().tls_certs_merge(certificates).build());
        let made = made.map_err(|error| format!("{} cannot be used: {error}", ca.display()))?;
        // As many as there are files in the configuration.
        self.trusting.lock().insert(ca.to_owned(), (bytes, made.clone()));
        Ok(made)
    }
}

fn client() -> reqwest::ClientBuilder {
    // Fails only if a provider is installed already, and then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        // Credentials go where they were meant to, and nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")))
}

impl Lookup<'_> {
    async fn tags(&mut self) -> Result<Vec<String>, ImageError> {
        let mut tags = Vec::new();
        let path = format!("/v2/{}/tags/list?n={PAGE_TAGS}", self.repository.path);
        let mut page_url =
            self.base.join(&path).map_err(|error| self.malformed(format!("its address {error}")))?;
        for _ in 0..PAGES_MAX {
            let response = self.get(&page_url).await?;
            let next = self.next_page(&response, &page_url)?;
            let page: TagPage = self.json(response).await?;
            let versions = page.tags.into_iter().flatten().filter(|tag| TaggedVersion::parse(tag).is_some());
            tags.extend(versions);
            if tags.len() > TAGS_MAX {
                break;
            }
            match next {
                None => return Ok(tags),
                Some(next) => page_url = next,
            }
        }
        Err(self.malformed(format!(
            "{} has more than {TAGS_MAX} versions, or tags on more than {PAGES_MAX} pages; \
             give the game's server a repository of its own",
            self.repository.path
        )))
    }

    /// Gets `url`; where the registry asks who we are, tells it and gets it again.
    async fn get(&mut self, url: &Url) -> Result<Response, ImageError> {
        let response = self.send(self.authorized(url.clone())).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.accepted(response);
        }
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE).into_iter();
        let mut challenges: Vec<_> =
            challenges.filter_map(|value| Challenge::parse(value.to_str().ok()?)).collect();
        challenges.sort_by_key(|challenge| *challenge == Challenge::Basic);
        self.authorization = match challenges.into_iter().next() {
            Some(Challenge::Bearer { realm, service, scope }) => {
                Authorization::Bearer(self.token(&realm, service, scope).await?)
            }
            Some(Challenge::Basic) if self.access.credentials.is_some() => Authorization::Basic,
            Some(Challenge::Basic) | None => return Err(self.refused()),
        };
        let response = self.send(self.authorized(url.clone())).await?;
        self.accepted(response)
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
    ) -> Result<SecretString, ImageError> {
        let realm = Url::parse(realm)
            .map_err(|_| self.malformed("the address that it gives tokens at is none".into()))?;
        // A registry that is asked in the clear may give tokens in the clear, no other.
        if realm.scheme() != "https" && (realm.scheme() != "http" || self.base.scheme() != "http") {
            return Err(self.malformed("it wants credentials sent in the clear".into()));
        }
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.repository.path));
        let mut request = self.http.get(realm).query(&[("scope", scope)]);
        if let Some(service) = service {
            request = request.query(&[("service", service)]);
        }
        if let Some(credentials) = &self.access.credentials {
            request = request.basic_auth(&credentials.username, Some(credentials.password.expose_secret()));
        }
        let response = self.send(request).await?;
        let token: Token = self.json(self.accepted(response)?).await?;
        Ok(token.token)
    }

    fn authorized(&self, url: Url) -> reqwest::RequestBuilder {
        let request = self.http.get(url).header(header::ACCEPT, "application/json");
        match (&self.authorization, &self.access.credentials) {
            (Authorization::Bearer(token), _) => request.bearer_auth(token.expose_secret()),
            (Authorization::Basic, Some(credentials)) => {
                request.basic_auth(&credentials.username, Some(credentials.password.expose_secret()))
            }
            (Authorization::Basic, None) | (Authorization::None, _) => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ImageError> {
        request.send().await.map_err(|error| self.unreachable(cause_of(error)))
    }

    fn accepted(&self, response: Response) -> Result<Response, ImageError> {
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.refused()),
            StatusCode::NOT_FOUND => Err(ImageError::NoSuchImage(self.name())),
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = response.headers().get(header::RETRY_AFTER);
                let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let retry_after = seconds.map(|s| Duration::from_secs(s).min(RETRY_AFTER_MAX));
                Err(ImageError::TooOften { host: self.repository.host.clone(), retry_after })
            }
            status if status.is_redirection() => {
                Err(self.malformed(format!("it points elsewhere ({status}); set its `url` to where it is")))
            }
            status => Err(self.unreachable(format!("it answered {status}"))),
        }
    }

    async fn json<T: DeserializeOwned>(&self, mut response: Response) -> Result<T, ImageError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(cause_of(error)))? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(self.malformed(format!("it has more than {BODY_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        // The parser's own words may repeat a token.
        serde_json::from_slice(&body).map_err(|error| {
            self.malformed(format!("it is no JSON of the right form (line {})", error.line()))
        })
    }

    /// Where the list goes on, if it does; always at the registry itself.
    fn next_page(&self, response: &Response, page: &Url) -> Result<Option<Url>, ImageError> {
        let mut links = response.headers().get_all(header::LINK).into_iter();
        let Some(target) = links.find_map(|link| next_link(link.to_str().ok()?)) else {
            return Ok(None);
        };
        let next = page.join(target).ok().filter(|next| next.origin() == page.origin() && next != page);
        next.map(Some).ok_or_else(|| self.malformed("its list goes on elsewhere, or where it is".into()))
    }

    fn refused(&self) -> ImageError {
        ImageError::Refused { host: self.repository.host.clone(), image: self.name() }
    }

    fn unreachable(&self, cause: String) -> ImageError {
        ImageError::Registry { host: self.repository.host.clone(), cause }
    }

    fn malformed(&self, cause: String) -> ImageError {
        ImageError::Answer { host: self.repository.host.clone(), cause }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.repository.host, self.repository.path)
    }
}

/// The target of `<target>; rel="next"`, one of several links perhaps.
fn next_link(header: &str) -> Option<&str> {
    header.split('<').skip(1).find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"') == "next"
        });
        is_next.then_some(target)
    })
}

/// The innermost cause, which says more than that a request failed. Without the address: a token may
/// be in it.
fn cause_of(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".into();
    }
    let error = error.without_url();
    let fault = find::<rustls::Error>(&error);
    if let Some(rustls::Error::InvalidCertificate(
        CertificateError::UnknownIssuer | CertificateError::BadSignature,
    )) = fault
    {
        return "its certificate is signed by nobody that is trusted here; set `ca` of its [registries.…] \
                to the certificate of who did"
            .into();
    }
    // One without TLS answers in words of its own, or hangs up.
    let hangs_up = || any_io(&error, |kind| kind == ErrorKind::UnexpectedEof);
    if matches!(fault, Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)))
        || (error.is_connect() && hangs_up())
    {
        return "it does not speak TLS; set `url` of its [registries.…] to http://… if it may be asked in \
                the clear"
            .into();
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::next_link;

    #[test]
    fn the_next_page_is_the_link_that_says_so() {
        assert_eq!(
            next_link(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#),
            Some("/v2/a/tags/list?last=b&n=2")
        );
        assert_eq!(next_link(r#"</first>; rel="first", </x?a=1,2>; title="t"; rel=next"#), Some("/x?a=1,2"));
        for header in ["", "</a>", "</a>; rel=prev", "</a; rel=next", "/a; rel=next"] {
            assert_eq!(next_link(header), None, "{header}");
        }
    }
}
