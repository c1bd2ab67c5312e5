//! What tests ask of an engine themselves.

use std::{
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::Value;

use super::{Docker, GAME, game_archive};

/// How long one call may take: an image that is imported, a container that will not stop.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// An answer of the engine.
#[derive(Clone, Debug)]
pub struct DockerAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// A container to be made by [`Docker::run`].
#[derive(Clone, Debug, Default)]
pub struct DockerRun<'a> {
    /// Its name; the engine makes one up unless it is given.
    pub name: &'a str,
    /// `<name>:<tag>`.
    pub image: &'a str,
    /// Arguments of its program.
    pub arguments: &'a [&'a str],
    /// More of the engine's own words for `POST /containers/create`, such as `HostConfig`.
    pub more: Value,
}

impl Docker {
    /// Calls the engine's API: `path` is such as `/containers/json?all=true`.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> DockerAnswer {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.try_call(method, path, "application/json", &bytes).unwrap_or_else(|error| {
            panic!("dockerd does not answer {method} {path}: {error}\n{}", self.log())
        })
    }

    /// The same; fails where the engine is not there.
    pub fn try_call(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<DockerAnswer> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(CALL_TIMEOUT))?;
        // HTTP/1.0: the answer comes whole and ends with the connection.
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        // A refusal may come before the body is read.
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        match (sent, DockerAnswer::parse(&answer)) {
            (_, Some(answer)) => Ok(answer),
            (Err(error), None) => Err(error),
            (Ok(()), None) => Err(io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer")),
        }
    }

    /// Imports the test game as the image `name`, once for each of `tags`.
    ///
    /// # Panics
    ///
    /// If it cannot be built or the engine refuses it.
    pub fn import_game(&self, name: &str, tags: &[&str]) {
        self.import_game_with(name, tags, &[]);
    }

    /// The same, with Dockerfile instructions such as `ENV GAME_ARGS="--delay-ms 2000"`, or
    /// `HEALTHCHECK --interval=100ms CMD ["/game", "--health"]`.
    ///
    /// # Panics
    ///
    /// If it cannot be built or the engine refuses it.
    pub fn import_game_with(&self, name: &str, tags: &[&str], instructions: &[&str]) {
        let archive = game_archive();
        for tag in tags {
            let answer = self.try_import(name, tag, instructions, archive);
            let answer = answer.unwrap_or_else(|error| panic!("no answer to an import: {error}"));
            assert!(
                answer.is_success() && !answer.text().contains("\"error\""),
                "{name}:{tag}: {}",
                answer.text()
            );
        }
    }

    /// Imports `archive`, a tar of a file system, as `name`:`tag` whose entry point is [`GAME`].
    pub fn try_import(
        &self,
        name: &str,
        tag: &str,
        instructions: &[&str],
        archive: &[u8],
    ) -> io::Result<DockerAnswer> {
        let entry_point = format!(r#"ENTRYPOINT ["{GAME}"]"#);
        let mut path = format!("/images/create?fromSrc=-&repo={}&tag={}", encoded(name), encoded(tag));
        for instruction in std::iter::once(entry_point.as_str()).chain(instructions.iter().copied()) {
            path.push_str("&changes=");
            path.push_str(&encoded(instruction));
        }
        self.try_call("POST", &path, "application/x-tar", archive)
    }

    /// Creates a container and starts it, without Greenroom; gives its id.
    ///
    /// # Panics
    ///
    /// If the engine refuses it.
    pub fn run(&self, run: &DockerRun) -> String {
        let mut body = serde_json::json!({ "Image": run.image, "Cmd": run.arguments });
        if let (Some(body), Some(more)) = (body.as_object_mut(), run.more.as_object()) {
            body.extend(more.clone());
        }
        let path = match run.name {
            "" => "/containers/create".to_owned(),
            name => format!("/containers/create?name={}", encoded(name)),
        };
        let created = self.call("POST", &path, Some(&body));
        assert_eq!(created.status, 201, "{}", created.text());
        let id = created.json()["Id"].as_str().expect("its id").to_owned();
        let started = self.call("POST", &format!("/containers/{id}/start"), None);
        assert_eq!(started.status, 204, "{}", started.text());
        id
    }

    /// All containers, those that have ended too, as `GET /containers/json` shows them.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn containers(&self) -> Vec<Value> {
        let answer = self.call("GET", "/containers/json?all=true", None);
        answer.json().as_array().cloned().unwrap_or_default()
    }

    /// A container as `GET /containers/{id}/json` shows it; null if there is none.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn inspect(&self, container: &str) -> Value {
        let answer = self.call("GET", &format!("/containers/{container}/json"), None);
        if answer.status == 200 { answer.json() } else { Value::Null }
    }

    /// Sends a container a signal, such as `KILL`; whether it was running.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn kill_container(&self, container: &str, signal: &str) -> bool {
        self.call("POST", &format!("/containers/{container}/kill?signal={signal}"), None).is_success()
    }

    /// Removes a container by force; whether it was there.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn remove_container(&self, container: &str) -> bool {
        self.call("DELETE", &format!("/containers/{container}?force=true"), None).is_success()
    }
}

impl DockerAnswer {
    fn parse(answer: &[u8]) -> Option<Self> {
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let status = std::str::from_utf8(&answer[..head]).ok()?.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, body: answer[head + 4..].to_vec() })
    }

    /// Whether it is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// For a query: everything but letters, digits and what never needs it.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
