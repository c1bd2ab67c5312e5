//! The description of the sockets, made from the types that travel on them.

use greenroom_protocol::{
    events::CloudEvent,
    lobby::{ClientMessage, ServerMessage},
    ticket::TicketClaims,
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Sockets and subjects, as AsyncAPI 3.0.
pub fn asyncapi() -> Value {
    let mut schemas = Map::new();
    let (from_client, from_server) =
        (variants::<ClientMessage>(&mut schemas), variants::<ServerMessage>(&mut schemas));
    let event = whole::<CloudEvent>("CloudEvent", &mut schemas);
    whole::<TicketClaims>("TicketClaims", &mut schemas);
    let mut messages = Map::new();
    let commands = add_messages("client", &from_client, &mut messages);
    let news = add_messages("server", &from_server, &mut messages);
    messages.insert("event".into(), json!({ "name": "event", "title": "An event", "payload": event }));
    let socket_messages: Map<_, _> =
        commands.iter().chain(&news).map(|name| (name.clone(), component(name))).collect();
    let of = |channel: &str, names: &[String]| -> Vec<Value> {
        names.iter().map(|name| json!({ "$ref": format!("#/channels/{channel}/messages/{name}") })).collect()
    };
    let token = json!({
        "type": "object",
        "properties": { "token": { "type": "string", "description": "The player's access token" } },
    });
    let channel = |address: &str, description: &str, parameters: Value| {
        json!({
            "address": address,
            "description": description,
            "parameters": parameters,
            "messages": socket_messages,
            "bindings": { "ws": { "method": "GET", "query": token, "bindingVersion": "0.1.0" } },
        })
    };
    let operation = |action: &str, channel: &str, summary: &str, names: &[String]| {
        json!({
            "action": action,
            "channel": { "$ref": format!("#/channels/{channel}") },
            "summary": summary,
            "messages": of(channel, names),
        })
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Greenroom",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Player sockets and the subjects of the history. A socket carries JSON in text frames, \
                one message each. Close codes: 1008 too many or too slowly read messages, 1009 a message too \
                big, 1012 Greenroom restarts and the reason says {\"retryAfterMs\"}, 4401 the session is not \
                good or has ended.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "contractSocket": channel("/_ws", "The socket of shipped clients; the game is that of the Host.", json!({})),
            "socket": channel(
                "/v1/games/{game}/socket",
                "A player's socket.",
                json!({ "game": { "description": "The game" } }),
            ),
            "subjects": {
                "address": "{subject}",
                "description": "A studio's history: appended by POST /v1/events, read by GET /v1/events and \
                    GET /v1/events/stream. Subjects are v1.<game>.servers.<server>.events.<name>, \
                    v1.<game>.servers.<server>.players.<player>.events.<name> and \
                    v1.<game>.lobbies|matches|rooms|players.<id>.events.<name>.",
                "parameters": { "subject": { "description": "Tokens of A-Z, a-z, 0-9, _ and -, divided by dots" } },
                "messages": { "event": component("event") },
            },
        },
        "operations": {
            "contractCommand": operation("receive", "contractSocket", "What a client says", &commands),
            "contractTell": operation("send", "contractSocket", "What a client is told", &news),
            "command": operation("receive", "socket", "What a client says", &commands),
            "tell": operation("send", "socket", "What a client is told", &news),
            "publish": operation("send", "subjects", "What happened", &["event".into()]),
        },
        "components": { "messages": messages, "schemas": schemas },
    })
}

fn component(name: &str) -> Value {
    json!({ "$ref": format!("#/components/messages/{name}") })
}

/// The variants of a message type as `(type, schema)`; what they share goes into `schemas`.
fn variants<T: JsonSchema>(schemas: &mut Map<String, Value>) -> Vec<(String, Value)> {
    let root = generated::<T>(schemas);
    let variants = root.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let named = variants.into_iter().map(|schema| {
        let kind =
            schema.pointer("/properties/type/const").and_then(Value::as_str).unwrap_or_default().to_owned();
        (kind, schema)
    });
    named.collect()
}

fn whole<T: JsonSchema>(name: &str, schemas: &mut Map<String, Value>) -> Value {
    let schema = generated::<T>(schemas);
    schemas.insert(name.to_owned(), schema);
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn generated<T: JsonSchema>(schemas: &mut Map<String, Value>) -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let root = generator.root_schema_for::<T>();
    for (name, schema) in generator.take_definitions(true) {
        schemas.insert(name, schema);
    }
    let mut root = Value::from(root);
    if let Value::Object(root) = &mut root {
        root.remove("definitions");
        root.remove("components");
    }
    root
}

/// Adds each variant as a message; answers with their names.
fn add_messages(side: &str, variants: &[(String, Value)], messages: &mut Map<String, Value>) -> Vec<String> {
    let add = |(kind, schema): &(String, Value)| {
        let name = format!("{side}_{}", kind.replace([':', '-'], "_"));
        let title = schema.get("description").and_then(Value::as_str).unwrap_or(kind);
        messages.insert(name.clone(), json!({ "name": kind, "title": title, "payload": schema }));
        name
    };
    variants.iter().map(add).collect()
}
