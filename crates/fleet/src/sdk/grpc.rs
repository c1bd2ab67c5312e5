//! The endpoint over gRPC.

use std::{collections::HashMap, convert::Infallible, pin::Pin};

use futures_util::{Stream, StreamExt as _};
use greenroom_domain::sdk::{self, Change, GameServer};
use hyper::body::Incoming;
use tonic::{Request, Response, Status, Streaming, body::Body, codegen::Service as _, codegen::http};

use super::{
    call::{Caller, Failure, count},
    json::{address_kind, epoch_seconds, seconds},
    proto::{
        alpha::{self, sdk_server::SdkServer as AlphaServer},
        beta::{self, sdk_server::SdkServer as BetaServer},
        sdk::{
            self as stable, Empty, game_server as part, game_server::status as status_part,
            sdk_server::SdkServer as StableServer,
        },
    },
};

/// Longest message of a request, in bytes. A longer one is refused.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// The services, for one caller.
#[derive(Clone)]
pub(super) struct Services {
    caller: Caller,
    stable: StableServer<Caller>,
    alpha: AlphaServer<Caller>,
    beta: BetaServer<Caller>,
}

impl Services {
    pub(super) fn new(caller: Caller) -> Self {
        let max = MESSAGE_BYTES_MAX;
        Self {
            stable: StableServer::new(caller.clone()).max_decoding_message_size(max),
            alpha: AlphaServer::new(caller.clone()).max_decoding_message_size(max),
            beta: BetaServer::new(caller.clone()).max_decoding_message_size(max),
            caller,
        }
    }

    /// Answers one call.
    pub(super) fn answer(
        &self,
        request: http::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<Body>, Infallible>> + Send + use<> {
        let mut services = self.clone();
        async move {
            services.caller.turn().await;
            let path = request.uri().path();
            if path.starts_with("/agones.dev.sdk.alpha.SDK/") {
                services.alpha.call(request).await
            } else if path.starts_with("/agones.dev.sdk.beta.SDK/") {
                services.beta.call(request).await
            } else {
                // It says itself what it does not have.
                services.stable.call(request).await
            }
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code.grpc(), failure.message)
    }
}

fn answered<T>(call: &'static str, result: Result<T, Failure>) -> Result<Response<T>, Status> {
    Ok(Response::new(count(call, result)?))
}

type Objects = Pin<Box<dyn Stream<Item = Result<stable::GameServer, Status>> + Send>>;

#[tonic::async_trait]
impl stable::sdk_server::Sdk for Caller {
    type WatchGameServerStream = Objects;

    async fn ready(&self, _request: Request<Empty>) -> Result<Response<Empty>, Status> {
        answered("ready", self.change(Change::Ready).await.map(|_| Empty {}))
    }

    async fn allocate(&self, _request: Request<Empty>) -> Result<Response<Empty>, Status> {
        answered("allocate", self.change(Change::Allocate).await.map(|_| Empty {}))
    }

    async fn shutdown(&self, _request: Request<Empty>) -> Result<Response<Empty>, Status> {
        answered("shutdown", self.change(Change::Shutdown).await.map(|_| Empty {}))
    }

    async fn health(&self, request: Request<Streaming<Empty>>) -> Result<Response<Empty>, Status> {
        let mut pings = request.into_inner();
        while pings.message().await?.is_some() {
            self.turn().await;
            count("health", Caller::health(self))?;
        }
        Ok(Response::new(Empty {}))
    }

    async fn get_game_server(
        &self,
        _request: Request<Empty>,
    ) -> Result<Response<stable::GameServer>, Status> {
        answered("get_game_server", self.object().map(|object| message(&object)))
    }

    async fn watch_game_server(&self, _request: Request<Empty>) -> Result<Response<Objects>, Status> {
        let objects = self.watch().map(|objects| objects.map(|object| Ok(message(&object))).boxed());
        answered("watch_game_server", objects)
    }

    async fn set_label(&self, request: Request<stable::KeyValue>) -> Result<Response<Empty>, Status> {
        let stable::KeyValue { key, value } = request.into_inner();
        answered("set_label", self.change(Change::Label { key, value }).await.map(|_| Empty {}))
    }

    async fn set_annotation(&self, request: Request<stable::KeyValue>) -> Result<Response<Empty>, Status> {
        let stable::KeyValue { key, value } = request.into_inner();
        answered("set_annotation", self.change(Change::Annotation { key, value }).await.map(|_| Empty {}))
    }

    async fn reserve(&self, request: Request<stable::Duration>) -> Result<Response<Empty>, Status> {
        let reserved = Caller::reserve(self, request.into_inner().seconds).await;
        answered("reserve", reserved.map(|()| Empty {}))
    }
}

#[tonic::async_trait]
impl alpha::sdk_server::Sdk for Caller {
    async fn player_connect(
        &self,
        request: Request<alpha::PlayerId>,
    ) -> Result<Response<alpha::Bool>, Status> {
        let changed = self.change(Change::PlayerConnect(request.into_inner().player_id)).await;
        answered("player_connect", changed.map(|changed| alpha::Bool { bool: changed.is_changed }))
    }

    async fn player_disconnect(
        &self,
        request: Request<alpha::PlayerId>,
    ) -> Result<Response<alpha::Bool>, Status> {
        let changed = self.change(Change::PlayerDisconnect(request.into_inner().player_id)).await;
        answered("player_disconnect", changed.map(|changed| alpha::Bool { bool: changed.is_changed }))
    }

    async fn set_player_capacity(
        &self,
        request: Request<alpha::Count>,
    ) -> Result<Response<alpha::Empty>, Status> {
        let changed = self.change(Change::PlayerCapacity(request.into_inner().count)).await;
        answered("set_player_capacity", changed.map(|_| alpha::Empty {}))
    }

    async fn get_player_capacity(
        &self,
        _request: Request<alpha::Empty>,
    ) -> Result<Response<alpha::Count>, Status> {
        let players = self.players();
        answered("get_player_capacity", players.map(|players| alpha::Count { count: players.capacity }))
    }

    async fn get_player_count(
        &self,
        _request: Request<alpha::Empty>,
    ) -> Result<Response<alpha::Count>, Status> {
        let count = self.players().map(|players| alpha::Count { count: players.values.len() as i64 });
        answered("get_player_count", count)
    }

    async fn is_player_connected(
        &self,
        request: Request<alpha::PlayerId>,
    ) -> Result<Response<alpha::Bool>, Status> {
        let player = request.into_inner().player_id;
        let is_connected = self.players().map(|players| players.values.contains(&player));
        answered("is_player_connected", is_connected.map(|bool| alpha::Bool { bool }))
    }

    async fn get_connected_players(
        &self,
        _request: Request<alpha::Empty>,
    ) -> Result<Response<alpha::PlayerIdList>, Status> {
        let players = self.players().map(|players| alpha::PlayerIdList { list: players.values });
        answered("get_connected_players", players)
    }
}

#[tonic::async_trait]
impl beta::sdk_server::Sdk for Caller {
    async fn get_counter(
        &self,
        request: Request<beta::GetCounterRequest>,
    ) -> Result<Response<beta::Counter>, Status> {
        let name = request.into_inner().name;
        answered("get_counter", self.counter(&name).map(|of| counter(name, of)))
    }

    async fn update_counter(
        &self,
        request: Request<beta::UpdateCounterRequest>,
    ) -> Result<Response<beta::Counter>, Status> {
        let beta::CounterUpdateRequest { name, count, capacity, count_diff } =
            request.into_inner().counter_update_request.unwrap_or_default();
        let updated = Caller::update_counter(self, &name, count, capacity, count_diff).await;
        answered("update_counter", updated.map(|of| counter(name, of)))
    }

    async fn get_list(&self, request: Request<beta::GetListRequest>) -> Result<Response<beta::List>, Status> {
        let name = request.into_inner().name;
        answered("get_list", self.list(&name).map(|of| list(name, of)))
    }

    async fn update_list(
        &self,
        request: Request<beta::UpdateListRequest>,
    ) -> Result<Response<beta::List>, Status> {
        let request = request.into_inner();
        let name = request.list.as_ref().map(|list| list.name.clone()).unwrap_or_default();
        let updated = match list_change(request) {
            Ok(change) => self.change_list(&name, change).await,
            Err(failure) => Err(failure),
        };
        answered("update_list", updated.map(|of| list(name, of)))
    }

    async fn add_list_value(
        &self,
        request: Request<beta::AddListValueRequest>,
    ) -> Result<Response<beta::List>, Status> {
        let beta::AddListValueRequest { name, value } = request.into_inner();
        let changed = self.change_list(&name, Change::AddValue { list: name.clone(), value }).await;
        answered("add_list_value", changed.map(|of| list(name, of)))
    }

    async fn remove_list_value(
        &self,
        request: Request<beta::RemoveListValueRequest>,
    ) -> Result<Response<beta::List>, Status> {
        let beta::RemoveListValueRequest { name, value } = request.into_inner();
        let changed = self.change_list(&name, Change::RemoveValue { list: name.clone(), value }).await;
        answered("remove_list_value", changed.map(|of| list(name, of)))
    }
}

/// What the mask names, be it nothing; without a mask, what is there.
fn list_change(request: beta::UpdateListRequest) -> Result<Change, Failure> {
    let beta::List { name, capacity, values } = request.list.unwrap_or_default();
    let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
    if let Some(path) = paths.iter().find(|path| !matches!(path.as_str(), "name" | "capacity" | "values")) {
        return Err(Failure::bad(format!(
            "The mask names \"{path}\", which a list does not have; expected \"capacity\" or \"values\"."
        )));
    }
    let names = |field: &str| paths.iter().any(|path| path == field);
    let (has_capacity, has_values) = if paths.is_empty() {
        (capacity != 0, !values.is_empty())
    } else {
        (names("capacity"), names("values"))
    };
    Ok(Change::List {
        name,
        capacity: has_capacity.then_some(capacity),
        values: has_values.then_some(values),
    })
}

fn counter(name: String, of: sdk::Counter) -> beta::Counter {
    beta::Counter { name, count: of.count, capacity: of.capacity }
}

fn list(name: String, of: sdk::List) -> beta::List {
    beta::List { name, capacity: of.capacity, values: of.values }
}

fn message(server: &GameServer) -> stable::GameServer {
    let map = |map: &std::collections::BTreeMap<String, String>| -> HashMap<String, String> {
        map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let players = server.players();
    let counter = |of: &sdk::Counter| status_part::CounterStatus { count: of.count, capacity: of.capacity };
    let list = |of: &sdk::List| status_part::ListStatus { capacity: of.capacity, values: of.values.clone() };
    stable::GameServer {
        object_meta: Some(part::ObjectMeta {
            name: server.name.clone(),
            namespace: server.namespace.clone(),
            uid: server.uid.clone(),
            resource_version: server.resource_version.clone(),
            generation: server.generation,
            creation_timestamp: epoch_seconds(Some(server.created_at)),
            deletion_timestamp: epoch_seconds(server.deleted_at),
            annotations: map(&server.annotations),
            labels: map(&server.labels),
        }),
        spec: Some(part::Spec {
            health: Some(part::spec::Health {
                disabled: server.health.is_disabled,
                period_seconds: seconds(server.health.period),
                failure_threshold: i32::try_from(server.health.failure_threshold).unwrap_or(i32::MAX),
                initial_delay_seconds: seconds(server.health.initial_delay),
            }),
        }),
        status: Some(part::Status {
            state: server.state.as_str().to_owned(),
            address: server.address.clone(),
            ports: server
                .ports
                .iter()
                .map(|port| status_part::Port { name: port.name.clone(), port: port.port.into() })
                .collect(),
            players: Some(status_part::PlayerStatus {
                count: players.values.len() as i64,
                capacity: players.capacity,
                ids: players.values.clone(),
            }),
            counters: server.counters.iter().map(|(name, of)| (name.clone(), counter(of))).collect(),
            lists: server.lists.iter().map(|(name, of)| (name.clone(), list(of))).collect(),
            addresses: vec![status_part::Address {
                r#type: address_kind(&server.address).to_owned(),
                address: server.address.clone(),
            }],
        }),
    }
}
