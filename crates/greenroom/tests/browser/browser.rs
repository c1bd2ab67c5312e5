use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource as _, KeyAction, KeyActions, PointerAction, TouchActions},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::processes::{Folder, Process};

const START_MAX: Duration = Duration::from_secs(90);
/// How long the page may take to show what it should, unless a match has to end first.
const SHOWN_MAX: Duration = Duration::from_mins(1);
const POLL_EVERY: Duration = Duration::from_millis(40);

/// Presses of Tab after which what is looked for counts as out of the keyboard's reach.
const TABS_MAX: usize = 120;
/// Keys as WebDriver names them.
const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

/// Chromium and its driver, where both are installed.
pub(crate) struct Programs {
    chromium: PathBuf,
    chromedriver: PathBuf,
}

impl Programs {
    pub(crate) fn find() -> Option<Self> {
        Some(Self { chromium: find("chromium")?, chromedriver: find("chromedriver")? })
    }
}

fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[derive(Clone, Copy)]
pub(crate) enum Screen {
    /// 1280 × 800, mouse and keyboard.
    Desktop,
    /// 390 × 844, touch.
    Phone,
}

/// A chromedriver, and so the browsers that it starts.
pub(crate) struct Driver<'a> {
    _process: Process,
    url: String,
    chromium: PathBuf,
    folder: &'a Folder,
    pictures: &'a Path,
}

impl<'a> Driver<'a> {
    pub(crate) fn start(programs: Programs, folder: &'a Folder, pictures: &'a Path) -> anyhow::Result<Self> {
        let mut command = Command::new(programs.chromedriver);
        // Home too is in the folder: Chromium keeps more than its profile.
        command.arg("--port=0").env("HOME", folder.path()).current_dir(folder.path());
        let process = Process::start(&mut command, &pictures.join("chromedriver.log"))?;
        let port: u16 = process.line(START_MAX, |line| {
            line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
        })?;
        let url = format!("http://127.0.0.1:{port}");
        Ok(Self { _process: process, url, chromium: programs.chromium, folder, pictures })
    }

    /// A browser with a profile of its own.
    pub(crate) async fn open(&self, name: &'static str, screen: Screen) -> anyhow::Result<Page> {
        let profile = self.folder.path().join(name);
        let mut options = json!({
            "binary": self.chromium,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars",
                "--window-size=1280,800", format!("--user-data-dir={}", profile.display()),
            ],
        });
        if let Screen::Phone = screen {
            let metrics = json!({ "width": 390, "height": 844, "pixelRatio": 1.0, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let capabilities =
            json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&self.url)
            .await
            .with_context(|| format!("{name}'s browser does not start"))?;
        let session = client.session_id().await?.context("the session has an id")?;
        if let Screen::Desktop = screen {
            // The page's size, not the window's.
            let inner: (u32, u32) = evaluate(&client, "[innerWidth, innerHeight]").await?;
            client.set_window_size(1280 + (1280 - inner.0), 800 + (800 - inner.1)).await?;
        }
        let log_url = format!("{}/session/{session}/se/log", self.url);
        let command_url = format!("{}/session/{session}/goog/cdp/execute", self.url);
        Ok(Page { client, name, log_url, command_url, pictures: self.pictures.to_owned() })
    }
}

async fn evaluate<T: DeserializeOwned>(client: &Client, expression: &str) -> anyhow::Result<T> {
    let value = client.execute(&format!("return {expression};"), Vec::new()).await?;
    serde_json::from_value(value.clone()).with_context(|| format!("{expression} is {value}"))
}

/// One player's browser.
pub(crate) struct Page {
    client: Client,
    name: &'static str,
    log_url: String,
    command_url: String,
    pictures: PathBuf,
}

impl Page {
    pub(crate) async fn goto(&self, url: &str) -> anyhow::Result<()> {
        Ok(self.client.goto(url).await?)
    }

    pub(crate) async fn reload(&self) -> anyhow::Result<()> {
        Ok(self.client.refresh().await?)
    }

    /// What a JavaScript expression gives; `game` in it is what the page shows to tests.
    pub(crate) async fn get<T: DeserializeOwned>(&self, expression: &str) -> anyhow::Result<T> {
        let expression = format!("((game) => ({expression}))(window.__skirmish)");
        evaluate(&self.client, &expression).await.with_context(|| format!("on {}'s page", self.name))
    }

    pub(crate) async fn until(&self, expression: &str) -> anyhow::Result<()> {
        self.until_within(SHOWN_MAX, expression).await
    }

    /// Waits until an expression holds.
    pub(crate) async fn until_within(&self, within: Duration, expression: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        // A page that is just being loaded has no `game` yet.
        while !self.get::<bool>(&format!("Boolean(game && ({expression}))")).await? {
            if Instant::now() >= deadline {
                self.picture("failed").await?;
                let state: Value = self
                    .get("game && { view: game.view, phase: game.phase, lobby: game.lobby, connected: game.connected, toasts: document.getElementById('toasts').innerText }")
                    .await?;
                anyhow::bail!(
                    "{}: {expression} did not hold within {within:?}; the page: {state}",
                    self.name
                );
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// Clicks what has a `data-testid`, once it is there to be clicked.
    pub(crate) async fn click(&self, id: &str) -> anyhow::Result<()> {
        self.until(&format!(
            "(() => {{ const it = {}; return it && it.checkVisibility() && !it.disabled; }})()",
            element(id)
        ))
        .await?;
        let found = self.client.find(Locator::Css(&selector(id))).await?;
        found.click().await.with_context(|| format!("{} clicks {id}", self.name))
    }

    pub(crate) async fn fill(&self, id: &str, text: &str) -> anyhow::Result<()> {
        let field = self.client.find(Locator::Css(&selector(id))).await?;
        field.clear().await?;
        field.send_keys(text).await.with_context(|| format!("{} fills in {id}", self.name))
    }

    /// Waits until the text of what has a `data-testid` contains `text`.
    pub(crate) async fn until_text(&self, id: &str, text: &str) -> anyhow::Result<()> {
        self.until(&format!("{}.innerText.includes({})", element(id), json!(text))).await
    }

    pub(crate) async fn key(&self, action: KeyAction) -> anyhow::Result<()> {
        let keys = KeyActions::new("keyboard".into()).then(action);
        Ok(self.client.perform_actions(keys).await?)
    }

    /// Puts a finger on the screen and drags it.
    pub(crate) async fn drag(&self, from: (f64, f64), to: (f64, f64)) -> anyhow::Result<()> {
        let at =
            |(x, y), millis| PointerAction::MoveTo { duration: Some(Duration::from_millis(millis)), x, y };
        let finger = TouchActions::new("finger".into())
            .then(at(from, 0))
            .then(PointerAction::Down { button: 0 })
            .then(at(to, 60));
        Ok(self.client.perform_actions(finger).await?)
    }

    /// Waits until an expression of a page of the console holds.
    pub(crate) async fn shows(&self, expression: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + SHOWN_MAX;
        let expression = format!("Boolean(document.readyState === 'complete' && ({expression}))");
        while !evaluate::<bool>(&self.client, &expression).await? {
            if Instant::now() >= deadline {
                self.picture("failed").await?;
                let text: String = evaluate(&self.client, "document.body.innerText").await?;
                anyhow::bail!(
                    "{}: {expression} did not hold within {SHOWN_MAX:?}; the page: {text}",
                    self.name
                );
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// Presses Tab until what `selector` means has the focus, which must be seen.
    pub(crate) async fn tab_to(&self, selector: &str) -> anyhow::Result<()> {
        self.shows(&format!("document.querySelector({})", json!(selector))).await?;
        let has_focus = format!("document.activeElement.matches({})", json!(selector));
        for _ in 0..TABS_MAX {
            if evaluate::<bool>(&self.client, &has_focus).await? {
                let seen = "getComputedStyle(document.activeElement).outlineStyle !== 'none' || document.activeElement.matches('input, select, textarea')";
                ensure!(evaluate::<bool>(&self.client, seen).await?, "the focus on {selector} is not seen");
                return Ok(());
            }
            self.press(TAB).await?;
        }
        self.picture("failed").await?;
        anyhow::bail!("{}: the keyboard does not get to {selector}", self.name)
    }

    /// Gets to what `selector` means by Tab, and types `text` there.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        self.tab_to(selector).await?;
        Ok(self.client.active_element().await?.send_keys(text).await?)
    }

    /// Gets to what `selector` means by Tab, and presses Enter there.
    pub(crate) async fn enter(&self, selector: &str) -> anyhow::Result<()> {
        self.tab_to(selector).await?;
        self.press(ENTER).await
    }

    async fn press(&self, value: char) -> anyhow::Result<()> {
        self.key(KeyAction::Down { value }).await?;
        self.key(KeyAction::Up { value }).await
    }

    /// Shows the page as wide as this, to who prefers this colour scheme.
    pub(crate) async fn look(&self, width: u32, scheme: &str) -> anyhow::Result<()> {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await?;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", features).await
    }

    async fn command(&self, name: &str, params: Value) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let request = client.post(&self.command_url).json(&json!({ "cmd": name, "params": params }));
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Takes back every key and finger.
    pub(crate) async fn let_go(&self) -> anyhow::Result<()> {
        Ok(self.client.release_actions().await?)
    }

    pub(crate) async fn picture(&self, what: &str) -> anyhow::Result<()> {
        let picture = self.client.screenshot().await?;
        ensure!(picture.starts_with(b"\x89PNG"), "a screenshot is a PNG");
        Ok(fs::write(self.pictures.join(format!("{what}-{}.png", self.name)), picture)?)
    }

    /// What the browser has complained about since the last time it was asked.
    pub(crate) async fn complaints(&self) -> anyhow::Result<Vec<String>> {
        let answer = reqwest::Client::builder().no_proxy().build()?;
        let answer = answer.post(&self.log_url).json(&json!({ "type": "browser" })).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        let entries = answer["value"].as_array().context("the log is a list")?;
        let bad = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        Ok(bad.map(|entry| format!("{}: {}", self.name, entry["message"])).collect())
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        Ok(self.client.close().await?)
    }
}

fn selector(id: &str) -> String {
    format!("[data-testid='{id}']")
}

fn element(id: &str) -> String {
    format!("document.querySelector(\"{}\")", selector(id))
}
