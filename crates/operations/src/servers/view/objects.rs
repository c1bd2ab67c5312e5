//! How game servers see themselves: one object for each that has asked, renewed with its document.

use std::sync::Arc;

use greenroom_directory::Revision;
use greenroom_domain::{
    sdk::GameServer,
    server::{Server, instance_of},
};
use greenroom_fleet::Phase;
use greenroom_protocol::ServerId;
use tokio::sync::watch;

use super::{State, View};

impl View {
    /// How the server sees itself whose present try is `instance`, now and with every change. Ends with the
    /// try. None if there is no such try, or it has no SDK.
    pub(crate) fn object(&self, instance: &ServerId) -> Option<watch::Receiver<Arc<GameServer>>> {
        let mut state = self.state.lock();
        if let Some(told) = state.objects.get(instance) {
            return Some(told.subscribe());
        }
        let (server, _) = state.of_instance(instance)?;
        let (told, object) = watch::channel(Arc::new(state.object(&server)?));
        state.objects.insert(instance.clone(), told);
        Some(object)
    }

    /// The newest known document of the server whose present try is `instance`.
    pub(crate) fn of_instance(&self, instance: &ServerId) -> Option<(Arc<Server>, Revision)> {
        self.state.lock().of_instance(instance)
    }
}

impl State {
    /// Tells a server that has asked how it sees itself what is new.
    pub(super) fn tell(&mut self, server: &Server) {
        if server.tries > 1 {
            self.objects.remove(&instance_of(server.id(), server.tries - 1));
        }
        let instance = server.instance();
        let Some(told) = self.objects.get(&instance) else { return };
        match self.object(server) {
            Some(object) => {
                told.send_if_modified(|known| {
                    let is_news = **known != object;
                    if is_news {
                        *known = Arc::new(object);
                    }
                    is_news
                });
            }
            None => drop(self.objects.remove(&instance)),
        }
    }

    /// The same where something else than its document has changed.
    pub(super) fn tell_instance(&mut self, instance: &ServerId) {
        if self.objects.contains_key(instance)
            && let Some((server, _)) = self.of_instance(instance)
        {
            self.tell(&server);
        }
    }

    fn object(&self, server: &Server) -> Option<GameServer> {
        let revision = self.entry(server.id())?.revision?;
        let known = self.instances.get(&server.instance());
        let is_running = known.is_some_and(|known| !matches!(known.phase, Phase::Ended(_)));
        let ports = known.map(|known| known.ports.as_slice()).unwrap_or_default();
        GameServer::of(server, ports, is_running, revision.0)
    }

    fn of_instance(&self, instance: &ServerId) -> Option<(Arc<Server>, Revision)> {
        let (id, _try) = instance.as_str().rsplit_once('-')?;
        let entry = self.entry(&ServerId::new(id).ok()?)?;
        let revision = entry.revision.filter(|_| entry.server.instance() == *instance)?;
        Some((Arc::clone(&entry.server), revision))
    }
}
