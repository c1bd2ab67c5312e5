//! What a server wrote.

use greenroom_domain::server::instance_of;
use greenroom_fleet::{HostState, LogLines, LogQuery, ProviderError};
use greenroom_protocol::{GameId, HostId, ServerId};

use super::{ServerError, Servers};

impl Servers {
    /// The log of the server's last try to start: living, or ended and not yet forgotten.
    pub async fn logs(&self, game: &GameId, id: &ServerId, query: LogQuery) -> Result<LogLines, ServerError> {
        let living = self.living(id);
        let instance = match &living {
            Some(server) if server.birth.game == *game => server.instance(),
            Some(_) => return Err(ServerError::NotFound),
            None => self.last_instance(game, id).await?,
        };
        self.0.machines.logs(&instance, query).await.map_err(|error| match error {
            ProviderError::NotFound(_) => ServerError::NotFound,
            error => match living.filter(|server| self.is_lost(&server.birth.host)) {
                Some(server) => ServerError::HostLost(server.birth.host.clone()),
                None => ServerError::Provider(error),
            },
        })
    }

    fn is_lost(&self, host: &HostId) -> bool {
        let hosts = self.0.machines.hosts();
        hosts.iter().any(|one| one.id == *host && matches!(one.state, HostState::Lost(_)))
    }

    /// An ended server's record does not say how many tries it took; the provider knows them all.
    async fn last_instance(&self, game: &GameId, id: &ServerId) -> Result<ServerId, ServerError> {
        let row = self.0.storage.servers().get(id).await.map_err(ServerError::Storage)?;
        row.filter(|row| row.game == *game).ok_or(ServerError::NotFound)?;
        let known = self.0.machines.list().await.map_err(ServerError::Provider)?;
        let tries = known.iter().filter_map(|observed| {
            let (of, tries) = observed.id.as_str().rsplit_once('-')?;
            if of == id.as_str() { tries.parse::<u32>().ok() } else { None }
        });
        tries.max().map(|tries| instance_of(id, tries)).ok_or(ServerError::NotFound)
    }
}
