//! A bucket: what is kept there, and what becomes of it when the bucket does not take it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use greenroom_backup::{BackupError, Packed, S3Config, Source, Store, StoreConfig, file_name, verify};
use greenroom_protocol::Timestamp;
use ring::{digest, hmac};

use crate::{INSTALLATION, packing};

const BUCKET: &str = "studio-backups";
const ACCESS_KEY: &str = "greenroom";
const SECRET_KEY: &str = "a secret that is long enough";

/// A stand-in for a bucket that checks every signature (AWS Signature Version 4).
struct Bucket {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    /// By their ids: the object's name, and the parts.
    uploads: BTreeMap<String, (String, BTreeMap<u32, Vec<u8>>)>,
    /// The number of the part that is refused.
    refuses: Option<u32>,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Bucket {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(&stream.unwrap(), &state));
            }
        });
        Self { address, state }
    }

    fn store(&self, secret_key: &str) -> Store {
        let config = S3Config {
            bucket: BUCKET.into(),
            prefix: "greenroom/".into(),
            endpoint: Some(format!("http://{}", self.address)),
            region: "eu-1".into(),
            access_key: ACCESS_KEY.into(),
            secret_key: secret_key.into(),
        };
        Store::open(&StoreConfig::S3(config), INSTALLATION).unwrap()
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = Request::read(&mut reader) {
        let (status, headers, body) = if request.is_signed() {
            answer(request, &mut state.lock().unwrap())
        } else {
            (403, String::new(), "<Error><Code>SignatureDoesNotMatch</Code></Error>".into())
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n{headers}\r\n");
        let mut stream = stream;
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
    }
}

fn answer(request: Request, state: &mut State) -> (u16, String, String) {
    let Request { method, path, query, body, .. } = request;
    let name = path.strip_prefix(&format!("/{BUCKET}")).unwrap().trim_start_matches('/').to_owned();
    let upload = query.get("uploadId").cloned();
    match (method.as_str(), upload) {
        ("POST", None) if query.contains_key("uploads") => {
            let id = format!("upload-{}", state.uploads.len() + 1);
            state.uploads.insert(id.clone(), (name, BTreeMap::new()));
            let xml = "InitiateMultipartUploadResult";
            (200, String::new(), format!("<{xml}><UploadId>{id}</UploadId></{xml}>"))
        }
        ("PUT", Some(id)) => {
            let number = query["partNumber"].parse().unwrap();
            if state.refuses == Some(number) {
                return (403, String::new(), "<Error><Code>QuotaExceeded</Code></Error>".into());
            }
            state.uploads.get_mut(&id).unwrap().1.insert(number, body);
            (200, format!("ETag: \"part-{number}\"\r\n"), String::new())
        }
        ("POST", Some(id)) => {
            let (name, parts) = state.uploads.remove(&id).unwrap();
            let sizes: Vec<_> = parts.values().map(Vec::len).collect();
            assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == 8 << 20), "{sizes:?}");
            state.objects.insert(name, parts.into_values().flatten().collect());
            let xml = "CompleteMultipartUploadResult";
            (200, String::new(), format!("<{xml}><ETag>whole</ETag></{xml}>"))
        }
        ("DELETE", Some(id)) => {
            state.uploads.remove(&id);
            (204, String::new(), String::new())
        }
        ("DELETE", None) => {
            state.objects.remove(&name);
            (204, String::new(), String::new())
        }
        ("GET", None) if query.contains_key("list-type") => {
            let mut xml = "<ListBucketResult>".to_owned();
            for (name, bytes) in state.objects.iter().filter(|(name, _)| name.starts_with(&query["prefix"])) {
                let (size, at) = (bytes.len(), "2026-11-20T00:00:00.000Z");
                let _ = write!(
                    xml,
                    "<Contents><Key>{name}</Key><Size>{size}</Size><LastModified>{at}</LastModified></Contents>"
                );
            }
            (200, String::new(), xml + "</ListBucketResult>")
        }
        (method, upload) => panic!("{method} {path} {query:?} {upload:?}"),
    }
}

impl Request {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        let mut next = |line: &mut String| {
            line.clear();
            reader.read_line(line).is_ok_and(|read| read > 0)
        };
        if !next(&mut line) {
            return None;
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        while next(&mut line) && line != "\r\n" {
            let (name, value) = line.split_once(':').unwrap();
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.replace("%2F", "/"))
        });
        Some(Self { method, path: path.to_owned(), query: query.collect(), headers, body })
    }

    /// Whether it was signed with the key: the steps stand at
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
    fn is_signed(&self) -> bool {
        let authorization = self.headers["authorization"].strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
        let fields: BTreeMap<_, _> =
            authorization.split(", ").filter_map(|field| field.split_once('=')).collect();
        let (user, scope) = fields["Credential"].split_once('/').unwrap();
        let hash = hex(digest::digest(&digest::SHA256, &self.body).as_ref());
        let told = &self.headers["x-amz-content-sha256"];
        let query: Vec<_> =
            self.query.iter().map(|(name, value)| format!("{name}={}", value.replace('/', "%2F"))).collect();
        let signed = fields["SignedHeaders"];
        let headers: Vec<_> =
            signed.split(';').map(|name| format!("{name}:{}\n", self.headers[name])).collect();
        let headers = headers.concat();
        let canonical =
            [&self.method, &self.path, &query.join("&"), &headers, signed, told].map(String::from).join("\n");
        let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{canonical}", self.headers["x-amz-date"]);
        let sign = |key: &[u8], text: &str| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
        };
        let secret = format!("AWS4{SECRET_KEY}").into_bytes();
        let key = scope.split('/').fold(secret, |key, part| sign(&key, part));
        user == ACCESS_KEY && *told == hash && fields["Signature"] == hex(&sign(&key, &to_sign))
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// A source of 20 MiB that nothing makes smaller.
fn large(folder: &std::path::Path) -> Source {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take((20 << 20) / 8)
    .flatten()
    .collect();
    fs::write(folder.join("noise"), noise).unwrap();
    let mut source = Source::default();
    source.add_file("noise", &folder.join("noise")).unwrap();
    source
}

async fn keep(store: &Store, source: Source) -> Result<Packed, BackupError> {
    store.keep(packing(source)).await
}

#[tokio::test]
async fn a_bucket_keeps_lists_and_removes_backups() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start();
    let store = bucket.store(SECRET_KEY);
    assert_eq!(store.describe(), format!("s3://{BUCKET}/greenroom"));
    assert_eq!(store.list().await.unwrap(), []);
    let packed = keep(&store, large(folder.path())).await.unwrap();
    let name = file_name(INSTALLATION, packed.manifest.header.taken_at);
    {
        let mut state = bucket.state.lock().unwrap();
        let bytes = &state.objects[&format!("greenroom/{name}")];
        fs::write(folder.path().join("fetched"), bytes).unwrap();
        let other = file_name("1111111111111111", Timestamp::from_millis(1));
        state.objects.insert(format!("greenroom/{other}"), b"of another installation".to_vec());
    }
    assert_eq!(verify(&folder.path().join("fetched")).unwrap(), packed.manifest);
    let stored = store.list().await.unwrap();
    assert_eq!((stored.len(), &stored[0].name, stored[0].bytes), (1, &name, packed.bytes));
    store.remove(&name).await.unwrap();
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(bucket.state.lock().unwrap().objects.len(), 1);
}

#[tokio::test]
async fn a_bucket_that_does_not_take_it_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start();
    let error = keep(&bucket.store("another secret"), large(folder.path())).await.unwrap_err();
    assert!(error.to_string().contains("the store s3://studio-backups/greenroom took no backup"), "{error}");
    bucket.state.lock().unwrap().refuses = Some(2);
    let error = keep(&bucket.store(SECRET_KEY), large(folder.path())).await.unwrap_err();
    assert!(
        error.to_string().contains("did not take the backup") && error.to_string().contains("QuotaExceeded"),
        "{error}"
    );
    let state = bucket.state.lock().unwrap();
    assert!(state.uploads.is_empty() && state.objects.is_empty(), "its parts are given up");
}
