//! A node: all operations, wired together in the order in which they need each other.

use std::sync::Arc;

use greenroom_backup::Ports;
use greenroom_directory::Directory;
use greenroom_domain::settings::Settings;
use greenroom_event_log::EventLog;
use greenroom_fleet::{Provider, images::Images};
use greenroom_protocol::ErrorCode;
use greenroom_storage::Storage;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admins::{AdminTerms, Admins},
    backups::{BackupSettings, Backups, BackupsDeps},
    browser::{Browser, BrowserDeps},
    builds::{Builds, BuildsDeps},
    context::Clock,
    events::Events,
    failure::Failure,
    lobbies::{Lobbies, LobbiesDeps},
    matches::{Matches, MatchesDeps},
    players::{AuthSettings, Players},
    realtime::{Hub, HubDeps},
    secret,
    servers::{Servers, ServersDeps},
    studios::ApiKeys,
    system::{Installation, System, SystemDeps},
    tokens::{Tokens, new_ticket_key},
};

/// What a node stands on.
pub struct NodeDeps {
    /// The state of now.
    pub directory: Directory,
    /// The history.
    pub log: EventLog,
    /// The records.
    pub storage: Storage,
    /// What runs game servers.
    pub provider: Provider,
    /// Where the images of containers are looked up and pulled.
    pub images: Images,
    /// What the operator decided.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// How sign-ins behave.
    pub auth: AuthSettings,
    /// Where backups go, and when.
    pub backups: BackupSettings,
    /// The key of access tokens, where the operator gives one; else one is made once and kept.
    pub access_key: Option<SecretSlice<u8>>,
    /// The admin token, where the operator gives one; else one is made once and kept.
    pub admin_token: Option<SecretString>,
    /// What only the program knows of itself.
    pub installation: Installation,
    /// The path of our own binary, for the template `{greenroom}`.
    pub greenroom: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Holds every task that is started.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
}

/// All operations of a node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    /// What the operator decided.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Signing in and out, tokens, bans.
    pub players: Players,
    /// Lobbies.
    pub lobbies: Lobbies,
    /// Player sockets.
    pub hub: Hub,
    /// Game servers.
    pub servers: Servers,
    /// The versions of games.
    pub builds: Builds,
    /// The lists of servers that players choose from.
    pub browser: Browser,
    /// Matches and their results.
    pub matches: Matches,
    /// History.
    pub events: Events,
    /// API keys.
    pub keys: ApiKeys,
    /// Administrators.
    pub admins: Admins,
    /// Backups.
    pub backups: Backups,
    /// The installation itself.
    pub system: System,
    /// Tokens and tickets.
    pub tokens: Arc<Tokens>,
    /// The admin token, and whether this start made it.
    pub admin_token: AdminToken,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Holds every task that is started.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
}

/// The token that stands for the operator.
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// The token.
    pub token: SecretString,
    /// Whether it was made just now and nobody has been shown it yet.
    pub is_new: bool,
}

impl Node {
    /// Takes up what there is, and keeps at it until `shutdown`.
    pub async fn start(deps: NodeDeps) -> Result<Self, Failure> {
        let NodeDeps {
            directory, log, storage, provider, images, settings, clock, tracker, shutdown, ..
        } = deps;
        let ports = Ports { directory: directory.clone(), event_log: log.clone(), storage: storage.clone() };
        let tokens = Arc::new(tokens(&storage, deps.access_key).await?);
        let admin_token = admin_token(&storage, deps.admin_token).await?;
        let root = admin_token.token.expose_secret();
        let terms = AdminTerms { session: deps.auth.console_ttl, audit: deps.auth.audit_ttl };
        let admins = Admins::open(storage.clone(), Arc::clone(&clock), root, terms).await?;
        admins.tidy_up(&tracker, shutdown.clone());
        let keys = ApiKeys::new(storage.clone(), settings.clone(), Arc::clone(&clock));
        let players = Players::new(
            storage.clone(),
            directory.clone(),
            Arc::clone(&tokens),
            Arc::clone(&clock),
            deps.auth,
        );
        players.carry_letters(&tracker, shutdown.clone());
        let events = Events::start(log.clone(), settings.clone(), Arc::clone(&clock))
            .await
            .map_err(Failure::event_log)?;
        events.carry_facts(directory.clone(), &tracker, shutdown.clone()).await?;
        let builds = Builds::start(BuildsDeps {
            images: images.clone(),
            settings: settings.clone(),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
        });
        let servers = Servers::start(ServersDeps {
            directory: directory.clone(),
            provider,
            images,
            storage: storage.clone(),
            settings: settings.clone(),
            events: Arc::new(events.clone()),
            clock: Arc::clone(&clock),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
            greenroom: deps.greenroom,
        })
        .await
        .map_err(|error| {
            Failure::new(ErrorCode::Unavailable, "The game servers could not be taken up.").because(error)
        })?;
        let browser = Browser::start(BrowserDeps {
            directory: directory.clone(),
            servers: servers.clone(),
            settings: settings.clone(),
            clock: Arc::clone(&clock),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
        })
        .await?;
        let lobbies = Lobbies::new(LobbiesDeps {
            directory: directory.clone(),
            settings: settings.clone(),
            clock: Arc::clone(&clock),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
            servers: servers.clone(),
        });
        let hub = Hub::start(HubDeps {
            directory: directory.clone(),
            lobbies: lobbies.clone(),
            browser: browser.clone(),
            tokens: Arc::clone(&tokens),
            settings: settings.clone(),
            clock: Arc::clone(&clock),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
        })
        .await?;
        let backups = Backups::start(BackupsDeps {
            ports,
            settings: deps.backups,
            clock: Arc::clone(&clock),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
        })?;
        let system = System::new(SystemDeps {
            installation: deps.installation,
            directory: directory.clone(),
            log: log.clone(),
            storage: storage.clone(),
            servers: servers.clone(),
            settings: settings.clone(),
            clock: Arc::clone(&clock),
        });
        let matches = Matches::start(MatchesDeps {
            directory,
            log,
            storage,
            settings: settings.clone(),
            lobbies: lobbies.clone(),
            servers: servers.clone(),
            clock: Arc::clone(&clock),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
        })
        .await?;
        Ok(Self {
            settings,
            players,
            lobbies,
            hub,
            servers,
            builds,
            browser,
            matches,
            events,
            keys,
            admins,
            backups,
            system,
            tokens,
            admin_token,
            clock,
            tracker,
            shutdown,
        })
    }
}

async fn tokens(storage: &Storage, access_key: Option<SecretSlice<u8>>) -> Result<Tokens, Failure> {
    let secrets = storage.secrets();
    let access_key = if let Some(key) = access_key {
        key
    } else {
        let candidate = secret::random_bytes::<32>()?;
        secrets.get_or_create("access-key", &candidate).await.map_err(Failure::storage)?.into()
    };
    let candidate = new_ticket_key().map_err(Failure::internal)?;
    let ticket_key = secrets.get_or_create("ticket-key", &candidate).await.map_err(Failure::storage)?;
    Tokens::new(&access_key, &ticket_key.into()).map_err(Failure::internal)
}

async fn admin_token(storage: &Storage, given: Option<SecretString>) -> Result<AdminToken, Failure> {
    if let Some(token) = given {
        return Ok(AdminToken { token, is_new: false });
    }
    let candidate = format!("ga_{}", secret::new_secret()?);
    let kept = storage
        .secrets()
        .get_or_create("admin-token", candidate.as_bytes())
        .await
        .map_err(Failure::storage)?;
    let is_new = kept == candidate.as_bytes();
    let token = String::from_utf8(kept).map_err(Failure::internal)?;
    Ok(AdminToken { token: token.into(), is_new })
}
