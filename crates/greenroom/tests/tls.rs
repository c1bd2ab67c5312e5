//! TLS by the built program: its addresses, its own command line, the Rust SDK, SIGHUP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use greenroom_client::{
    player::Player,
    protocol::lobby::{ClientMessage, LobbyCreate},
};
use greenroom_test_support::{greenroom::Installation, wait_for};
use rustix::process::Signal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_greenroom");

/// Set in the process of the SDK's part, which trusts the certificate by its environment.
const URL: &str = "GREENROOM_TEST_URL";

fn write_certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn everything_is_served_over_tls() {
    if let Ok(url) = env::var(URL) {
        return the_sdk(&url).await;
    }
    let fleet = "command = [\"{greenroom}\", \"skirmish-server\", \"--port\", \"{port}\"]\n\
                 port_range = \"{ports}\"\nrunning_max = 4\nports = [{ name = \"default\", protocol = \"tcp\" }]\n\
                 [tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"";
    let installation =
        Installation::new(PROGRAM, "", fleet, 4).with_env([("GREENROOM_PUBLIC_ADDRESS", "localhost".into())]);
    write_certificate(installation.folder());
    let trusted = installation.folder().join("trusted.crt");
    fs::copy(installation.folder().join("tls.crt"), &trusted).unwrap();
    let running = installation.dev().await;
    // By the name that the certificate is for; what game servers are told is the same.
    assert!(running.url.starts_with("https://localhost:"), "{}", running.url);

    let sdk = Command::new(env::current_exe().unwrap())
        .args(["everything_is_served_over_tls", "--exact", "--nocapture"])
        .env(URL, &running.url)
        .env("SSL_CERT_FILE", &trusted)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(sdk.status.success(), "{}", String::from_utf8_lossy(&sdk.stderr));

    // The command line reads the address from the data folder. A game server speaks to us by it too.
    let ask = || {
        let mut command = installation.command();
        command.args(["allocate", "--data-dir"]).arg(installation.data_dir());
        command.env("SSL_CERT_FILE", &trusted).output().unwrap()
    };
    let answer = ask();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));

    // A new certificate, at once: who trusts the old one alone is at the wrong place.
    write_certificate(installation.folder());
    running.signal(Signal::HUP);
    let is_told =
        wait_for(|| running.log().contains("a new TLS certificate is presented"), Duration::from_mins(1));
    assert!(is_told.await, "{}", running.log());
    assert!(!ask().status.success());
    fs::copy(installation.folder().join("tls.crt"), &trusted).unwrap();
    assert!(ask().status.success());
}

async fn the_sdk(url: &str) {
    let ann = Player::sign_in(url, "Ann").await.unwrap();
    let mut socket = ann.connect().await.unwrap();
    socket.send(&ClientMessage::Create(LobbyCreate::default())).await.unwrap();
    assert_eq!(socket.lobby().await.unwrap().team_a.len(), 1);
}

#[tokio::test]
async fn a_certificate_that_is_no_good_ends_the_start_with_a_sentence() {
    let tls = "[tls]\ncertificate = \"tls.crt\"\nkey = \"nothing.key\"";
    let fleet = format!(
        "command = [\"sleep\", \"9\"]\nports = [{{ name = \"default\", protocol = \"tcp\" }}]\n{tls}"
    );
    let installation = Installation::new(PROGRAM, "", &fleet, 1);
    write_certificate(installation.folder());
    let absent = installation.serve_command().output().unwrap();
    let said = String::from_utf8_lossy(&absent.stderr).into_owned();
    assert!(!absent.status.success() && said.contains("tls.key: there is no file nothing.key"), "{said}");
    fs::copy(installation.folder().join("tls.crt"), installation.folder().join("nothing.key")).unwrap();
    let swapped = installation.serve_command().output().unwrap();
    let said = String::from_utf8_lossy(&swapped.stderr).into_owned();
    assert!(!swapped.status.success() && said.contains("has no private key in it"), "{said}");
}
