//! The name of an image, taken apart. Source: the grammar of `distribution/reference`.

/// The host by which a name without one is looked up in the configuration: Docker Hub's, as engines
/// have it in their own names.
pub const DEFAULT_HOST: &str = "docker.io";

/// Other spellings of [`DEFAULT_HOST`] that engines take for it.
const DEFAULT_HOST_ALIASES: &[&str] = &["index.docker.io", "registry-1.docker.io"];

/// Where names of one part lie at the default host.
const DEFAULT_NAMESPACE: &str = "library";

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// The name of an image without its tag: a registry's host and a path there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repository {
    /// The registry's host, with its port if it has one.
    pub host: String,
    /// The path, such as `studio/game`.
    pub path: String,
}

impl Repository {
    /// Reads `studio/game`, `ghcr.io/studio/game` or `127.0.0.1:5000/game`. `None` if it is none, or
    /// has a tag or a digest.
    pub fn parse(name: &str) -> Option<Self> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DEFAULT_HOST, name),
        };
        let host = if DEFAULT_HOST_ALIASES.contains(&host) { DEFAULT_HOST } else { host };
        if !is_host(host) || !path.split('/').all(is_component) {
            return None;
        }
        let path = if host == DEFAULT_HOST && !path.contains('/') {
            format!("{DEFAULT_NAMESPACE}/{path}")
        } else {
            path.to_owned()
        };
        Some(Self { host: host.to_owned(), path })
    }

    /// The repository and the tag of `image`, such as `studio/game:1.2.0`.
    pub fn parse_tagged(image: &str) -> Option<(Self, &str)> {
        let (name, tag) = image.rsplit_once(':')?;
        if !is_tag(tag) {
            return None;
        }
        Some((Self::parse(name)?, tag))
    }
}

/// Whether `text` has the form of a registry's host, with or without a port.
pub fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_name = !name.is_empty()
        && name.split('.').all(|part| !part.is_empty() && part.bytes().all(fits) && !part.starts_with('-'));
    is_name && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether `text` has the form of a tag.
pub fn is_tag(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with(['.', '-'])
}

fn is_component(text: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-');
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.iter().copied().all(fits) && ends(bytes.first()) && ends(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> Option<(String, String)> {
        Repository::parse(name).map(|repository| (repository.host, repository.path))
    }

    #[test]
    fn a_name_has_a_host_and_a_path() {
        let expected = |host: &str, path: &str| Some((host.to_owned(), path.to_owned()));
        assert_eq!(parts("studio/game"), expected("docker.io", "studio/game"));
        assert_eq!(parts("game"), expected("docker.io", "library/game"));
        assert_eq!(parts("docker.io/game"), expected("docker.io", "library/game"));
        assert_eq!(parts("index.docker.io/studio/game"), expected("docker.io", "studio/game"));
        assert_eq!(parts("ghcr.io/studio/a/b"), expected("ghcr.io", "studio/a/b"));
        assert_eq!(parts("127.0.0.1:5000/game"), expected("127.0.0.1:5000", "game"));
        assert_eq!(parts("localhost/game"), expected("localhost", "game"));
    }

    #[test]
    fn what_is_no_name_is_none() {
        for name in [
            "",
            "/",
            "Studio/game",
            "a//b",
            "a/../b",
            "a/b:1.0.0",
            "a/b@sha256:00",
            "a b",
            "host.:x/y",
            "a/",
            "-a",
            "h.x:0/a",
        ] {
            assert_eq!(parts(name), None, "{name:?}");
        }
        assert_eq!(parts(&"a".repeat(300)), None);
    }

    #[test]
    fn a_tagged_name_is_taken_apart_at_its_last_colon() {
        let (repository, tag) = Repository::parse_tagged("127.0.0.1:5000/game:v1.2.0-rc.1").unwrap();
        assert_eq!(
            (repository.host.as_str(), repository.path.as_str(), tag),
            ("127.0.0.1:5000", "game", "v1.2.0-rc.1")
        );
        for image in ["game", "game:", "game:.x", "game:a b", "127.0.0.1:5000/game"] {
            assert_eq!(Repository::parse_tagged(image), None, "{image}");
        }
    }
}
