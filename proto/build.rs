//! Generates the wire types and their proto3 JSON mapping; needs no `protoc`.

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["inquest/v1/signal.proto", "inquest/v1/ingest.proto"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        // By far the largest body, and a rare one.
        .boxed(".inquest.v1.Signal.body.resource_usage")
        .compile_fds(descriptors.clone())?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptors.encode_to_vec())?
        .ignore_unknown_fields()
        .build(&[".inquest.v1"])?;
    Ok(())
}
