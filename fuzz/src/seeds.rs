//! Good inputs, which the driver mutates: near what is right lies what is interesting.

pub(crate) const CONFIG: &[&str] = &[
    greenroom::config::DEFAULT,
    "[auth]\njwt_secret = \"0123456789abcdef\"\n[log]\nformat = \"json\"\nlevel = \"info,a=debug\"",
    "[trusted_proxies]\naddresses = [\"10.0.0.0/8\", \"::1\"]\nhops = 2\n[limits]\nrequests_per_key = \"10/min\"",
    "[studios.s]\nevents_bytes_max = \"1GiB\"\n[games.g]\nstudio = \"s\"\nhosts = [\"a.b\"]\n[games.g.fleet]\n\
     command = [\"a\", \"{port:x}\"]\nports = [{ name = \"x\", protocol = \"udp\", count = 2 }]\nready = \"log:^up$\"\n\
     ready_min = 1\nwarm_payload = \"file\"\nenvironment = { A = \"{id}\" }\nlimits = { memory = \"64MiB\", cpu = 0.5 }",
];

pub(crate) const TEMPLATES: &[&str] = &[
    "{greenroom}",
    "--port={port}",
    "{port:default}",
    "{name}{title}{id}{version}{public_address}{region}",
    "{if listed}--list",
    "{if code}{if listed}{code}",
    "a {{literal}} brace",
];

pub(crate) const FRAMES: &[&str] = &[
    r#"{"type":"ping"}"#,
    r#"{"type":"lobby:create","isPrivate":true,"keep":true,"name":"a","map":"b","password":"c","teamSize":4}"#,
    r#"{"type":"lobby:join","lobbyId":"x","code":"123456","team":"A","password":"p"}"#,
    r#"{"type":"lobby:ready","ready":false}"#,
    r#"{"type":"lobby:chat","text":"hello \u00e9"}"#,
    r#"{"type":"lobby:settings","name":"a","mode":null,"teamSize":2}"#,
    r#"{"type":"lobby:kick","accountId":"a"}"#,
    r#"{"type":"lobby:start","id":7}"#,
];

pub(crate) const BODIES: &[&str] = &[
    r#"{"region":"us-east","payload":"{\"a\":1}","timeoutSeconds":0}"#,
    r#"{"username":"Ann"}"#,
    r#"{"name":"Ann","list":1,"version":"1.2.3"}"#,
    r#"{"discordToken":"abc"}"#,
    r#"{"refreshToken":"abc"}"#,
    r#"{"reason":"rude","until":1700000000000}"#,
    r#"[{"subject":"v1.g.matches.m.events.ended","type":"match.ended","data":{"players":[{"id":"a","team":"A","score":3,"won":true}]}}]"#,
    "2026-01-02T03:04:05.678Z",
];
