//! Compiles the protocol of the SDK, in Rust alone: there is no protoc.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["sdk.proto", "alpha.proto", "beta.proto"], ["proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let server = tonic_prost_build::configure().build_client(false).build_transport(false);
    server.out_dir(&out).compile_fds(files.clone())?;
    // What the tests call it with.
    let client = out.join("client");
    fs::create_dir_all(&client)?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .out_dir(client)
        .compile_fds(files)?;
    Ok(())
}
