//! A registry of images on loopback: tag lists, manifests and layers out of memory, and what a real
//! one shows only on bad days.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::json;

/// How long a client may take to send a request, and a layer may be held.
const PATIENCE: Duration = Duration::from_mins(1);

/// Most bytes of a request's head.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Who may ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistryAccess {
    /// Everybody.
    #[default]
    Open,
    /// Who has the name and the password.
    Basic(&'static str, &'static str),
    /// Who has a token, which those get who have the name and the password.
    Token(&'static str, &'static str),
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistryFault {
    /// Nothing.
    #[default]
    None,
    /// Every answer has this status, and this `Retry-After`.
    Status(u16, Option<u32>),
    /// Every answer is no JSON.
    Garbage,
    /// Every answer goes on for ever.
    Endless,
    /// It takes requests, and answers none.
    Silent,
    /// Lists go on at another registry.
    NextElsewhere,
    /// Every page of a list has another one after it.
    EndlessPages,
}

/// A registry on a loopback port. Engines talk to it without TLS, because it is on loopback.
pub struct Registry {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    is_over: AtomicBool,
}

#[derive(Default)]
struct State {
    access: RegistryAccess,
    fault: RegistryFault,
    /// Most tags of one page; as many as the client wants if 0.
    page_tags: usize,
    /// Layers stop halfway while this is set.
    holds_layers: bool,
    /// Layers that stand halfway.
    held: usize,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Manifests, configurations and layers, by digest.
    blobs: BTreeMap<String, (&'static str, Arc<[u8]>)>,
    requests: Vec<String>,
}

impl Registry {
    /// Starts one without images that everybody may ask.
    ///
    /// # Panics
    ///
    /// If there is no loopback port.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// The same over TLS, with this certificate and its key, both as PEM.
    ///
    /// # Panics
    ///
    /// If they are no such.
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain.expect("a certificate"), key)
            .expect("a pair");
        Self::start_with(Some(Arc::new(config)))
    }

    fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.is_over.load(Ordering::Acquire) {
                    return;
                }
                let (shared, tls) = (Arc::clone(&serving), tls.clone());
                thread::spawn(move || {
                    let _client_went_away = shared.accept(stream, tls);
                });
            }
        });
        Self { address, scheme, shared, accepting: Some(accepting) }
    }

    /// `127.0.0.1:<port>`, as it stands in the names of its images.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Its address for programs.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Puts an image there that has one file of so many bytes; each tag of each registry has its own,
    /// so that no engine has it already.
    pub fn push(&self, name: &str, tag: &str, bytes: usize) {
        let seed = format!("{}/{name}:{tag}", self.address);
        let layer = tar_of("blob", &noise(&seed, bytes));
        self.push_layer(name, tag, &layer, &json!({}));
    }

    /// Puts an image there whose file system is `layer`, a tar; `config` is its `Config`.
    pub fn push_layer(&self, name: &str, tag: &str, layer: &[u8], config: &serde_json::Value) {
        let mut state = self.shared.state();
        let layer_digest = state.keep(LAYER, layer);
        let config = json!({
            "architecture": architecture(), "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
            "history": [{ "created_by": "a test" }],
        });
        let config = config.to_string();
        let config_digest = state.keep(CONFIG, config.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "size": config.len(), "digest": config_digest },
            "layers": [{ "mediaType": LAYER, "size": layer.len(), "digest": layer_digest }],
        });
        let digest = state.keep(MANIFEST, manifest.to_string().as_bytes());
        state.tags.entry(name.to_owned()).or_default().insert(tag.to_owned(), digest);
    }

    /// Puts tags there that nobody pulls.
    pub fn push_tags<T: ToString>(&self, name: &str, tags: impl IntoIterator<Item = T>) {
        let tags = tags.into_iter().map(|tag| (tag.to_string(), "sha256:0".to_owned()));
        self.shared.state().tags.entry(name.to_owned()).or_default().extend(tags);
    }

    /// Who may ask from now on.
    pub fn set_access(&self, access: RegistryAccess) {
        self.shared.state().access = access;
    }

    /// What is wrong from now on.
    pub fn set_fault(&self, fault: RegistryFault) {
        self.shared.state().fault = fault;
    }

    /// How many tags a page has at most from now on.
    pub fn set_page_tags(&self, page_tags: usize) {
        self.shared.state().page_tags = page_tags;
    }

    /// From now on layers stop halfway, until this is taken back.
    pub fn hold_layers(&self, holds_layers: bool) {
        self.shared.state().holds_layers = holds_layers;
        self.shared.changed.notify_all();
    }

    /// How many layers stand halfway.
    pub fn held(&self) -> usize {
        self.shared.state().held
    }

    /// How many requests there were whose path contains `part`.
    pub fn asked(&self, part: &str) -> usize {
        self.shared.state().requests.iter().filter(|request| request.contains(part)).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.hold_layers(false);
        // Wakes who accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    authorization: Option<String>,
    host: String,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content_type: &'static str,
    body: Arc<[u8]>,
    is_layer: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, stream: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Some(tls) = tls else { return self.serve(stream, "http") };
        let connection = rustls::ServerConnection::new(tls).map_err(io::Error::other)?;
        let mut stream = rustls::StreamOwned::new(connection, stream);
        self.serve(&mut stream, "https")?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn serve(&self, mut out: impl io::Read + io::Write, scheme: &str) -> io::Result<()> {
        let Some(request) = Request::read(&mut out)? else { return Ok(()) };
        let fault = {
            let mut state = self.state();
            state.requests.push(format!("{} {}", request.method, request.path));
            state.fault
        };
        match fault {
            RegistryFault::Silent => {
                self.wait_until(|state| state.fault != RegistryFault::Silent);
                return Ok(());
            }
            RegistryFault::Endless => {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"tags\":[")?;
                loop {
                    out.write_all(&[b' '; 4096])?;
                }
            }
            _ => {}
        }
        let answer = self.state().answer(&request, scheme);
        let mut head = format!(
            "HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n",
            answer.status,
            answer.content_type,
            answer.body.len()
        );
        for (name, value) in &answer.headers {
            let _writing_to_text_succeeds = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        out.write_all(head.as_bytes())?;
        if request.method == "HEAD" {
            return Ok(());
        }
        let (first, second) = answer.body.split_at(answer.body.len() / 2);
        out.write_all(first)?;
        if answer.is_layer && self.state().holds_layers {
            self.state().held += 1;
            self.wait_until(|state| !state.holds_layers);
            self.state().held -= 1;
        }
        out.write_all(second)
    }

    fn wait_until(&self, condition: impl Fn(&State) -> bool) {
        let waits = |state: &mut State| !condition(state) && !self.is_over.load(Ordering::Acquire);
        let _ = self.changed.wait_timeout_while(self.state(), PATIENCE, waits);
    }
}

impl State {
    fn keep(&mut self, kind: &'static str, bytes: &[u8]) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let mut text = String::from("sha256:");
        for byte in digest.as_ref() {
            let _writing_to_text_succeeds = write!(text, "{byte:02x}");
        }
        let digest = text;
        self.blobs.insert(digest.clone(), (kind, bytes.into()));
        digest
    }

    fn answer(&self, request: &Request, scheme: &str) -> Answer {
        match self.fault {
            RegistryFault::Status(status, retry_after) => {
                let retry_after = retry_after.map(|seconds| ("Retry-After", seconds.to_string()));
                return Answer { headers: retry_after.into_iter().collect(), ..Answer::json(status, "{}") };
            }
            RegistryFault::Garbage => return Answer::json(200, "<html>{\"token\": 1"),
            _ => {}
        }
        if request.path == "/token" {
            return self.token(request);
        }
        if let Some(challenge) = self.challenge(request, scheme) {
            let headers = vec![("WWW-Authenticate", challenge)];
            return Answer { headers, ..Answer::json(401, "{}") };
        }
        let Some(path) = request.path.strip_prefix("/v2/") else { return Answer::json(404, "{}") };
        if path.is_empty() {
            return Answer::json(200, "{}");
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            return self.list(name, request);
        }
        let found = if let Some((name, reference)) = path.split_once("/manifests/") {
            let tagged = self.tags.get(name).and_then(|tags| tags.get(reference));
            tagged.or(Some(&reference.to_owned())).and_then(|digest| self.blob(digest))
        } else {
            path.split_once("/blobs/").and_then(|(_, digest)| self.blob(digest))
        };
        found.unwrap_or_else(|| {
            Answer::json(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
        })
    }

    fn blob(&self, digest: &str) -> Option<Answer> {
        let (kind, bytes) = self.blobs.get(digest)?;
        Some(Answer {
            status: 200,
            headers: vec![("Docker-Content-Digest", digest.to_owned())],
            content_type: kind,
            body: Arc::clone(bytes),
            is_layer: *kind == LAYER,
        })
    }

    fn list(&self, name: &str, request: &Request) -> Answer {
        let Some(tags) = self.tags.get(name) else {
            return Answer::json(404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#);
        };
        let wanted: usize = request.query.get("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let page = if self.page_tags == 0 { wanted } else { wanted.min(self.page_tags) };
        let last = request.query.get("last").map_or("", String::as_str);
        let mut rest = tags.keys().filter(|tag| tag.as_str() > last).peekable();
        let listed: Vec<_> = rest.by_ref().take(page).cloned().collect();
        let next = match self.fault {
            RegistryFault::NextElsewhere => Some("http://127.0.0.2:1/v2/x/tags/list".to_owned()),
            RegistryFault::EndlessPages => {
                let number: u32 = last.parse().unwrap_or_default();
                Some(format!("/v2/{name}/tags/list?last={}", number + 1))
            }
            _ if rest.peek().is_some() => {
                let last = listed.last().cloned().unwrap_or_default();
                Some(format!("/v2/{name}/tags/list?last={last}&n={page}"))
            }
            _ => None,
        };
        let link = next.map(|next| ("Link", format!("<{next}>; rel=\"next\"")));
        let body = json!({ "name": name, "tags": listed }).to_string();
        Answer { headers: link.into_iter().collect(), ..Answer::json(200, &body) }
    }

    fn challenge(&self, request: &Request, scheme: &str) -> Option<String> {
        let given = request.authorization.as_deref();
        match self.access {
            RegistryAccess::Open => None,
            RegistryAccess::Basic(name, password) => {
                (given != Some(&basic(name, password))).then(|| "Basic realm=\"a test\"".to_owned())
            }
            RegistryAccess::Token(..) => (given != Some("Bearer a-token")).then(|| {
                format!(
                    "Bearer realm=\"{scheme}://{}/token\",service=\"a test\",scope=\"repository:x:pull\"",
                    request.host
                )
            }),
        }
    }

    fn token(&self, request: &Request) -> Answer {
        let RegistryAccess::Token(name, password) = self.access else { return Answer::json(404, "{}") };
        let has_scope = request.query.contains_key("scope") && request.query.contains_key("service");
        if request.authorization.as_deref() == Some(&basic(name, password)) && has_scope {
            Answer::json(200, r#"{"token":"a-token","expires_in":300}"#)
        } else {
            Answer::json(401, "{}")
        }
    }
}

impl Request {
    fn read(stream: &mut impl io::Read) -> io::Result<Option<Self>> {
        let mut lines = BufReader::new(stream.take(HEAD_BYTES_MAX)).lines();
        let Some(first) = lines.next().transpose()? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            authorization: None,
            host: String::new(),
        };
        for line in lines {
            let line = line?;
            if line.is_empty() {
                return Ok(Some(request));
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => request.authorization = Some(value.trim().to_owned()),
                "host" => value.trim().clone_into(&mut request.host),
                _ => {}
            }
        }
        Ok(None)
    }
}

impl Answer {
    fn json(status: u16, body: &str) -> Self {
        let body = body.as_bytes().into();
        Self { status, headers: Vec::new(), content_type: "application/json", body, is_layer: false }
    }
}

fn basic(name: &str, password: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("{name}:{password}");
    let mut encoded = String::from("Basic ");
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            encoded.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    encoded
}

/// A tar with one file.
fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

/// Bytes that no compression makes fewer, others for each `seed`.
fn noise(seed: &str, bytes: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(0x9E37_79B9_7F4A_7C15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
