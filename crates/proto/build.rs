//! Compiles the contracts under `proto/` without a system `protoc`: protox resolves them, prost and
//! tonic generate the messages, clients and servers, and the whole descriptor set (which alone
//! keeps our custom options) is embedded for reflection, validation and the access rules.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut contracts = Vec::new();
    collect(&root.join("egov"), &mut contracts)?;
    contracts.sort();

    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&contracts)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let mut config = prost_build::Config::new();
    config.bytes([
        ".egov.onestop.v1.PutChunkRequest",
        ".egov.onestop.v1.ReadFileResponse",
        ".egov.integration.v1.CloudEvent",
        ".egov.integration.v1.MailboxMessage",
        ".egov.integration.v1.SendMessageRequest",
    ]);
    for message in compiler.descriptor_pool().all_messages() {
        let name = message.full_name().to_owned();
        config
            .type_attribute(&name, "#[derive(::prost_reflect::ReflectMessage)]")
            .type_attribute(
                &name,
                format!(r#"#[prost_reflect(message_name = "{name}", descriptor_pool = "crate::POOL")]"#),
            );
    }
    let mut files = compiler.file_descriptor_set();
    // buf.validate is read from the descriptors only; no Rust type of it is needed.
    files
        .file
        .retain(|file| !file.name().starts_with("buf/") && !file.name().starts_with("google/api/"));
    tonic_prost_build::configure()
        .build_transport(true)
        .compile_well_known_types(false)
        .include_file("contracts.rs")
        .compile_fds_with_config(files, config)?;
    Ok(())
}

/// All `.proto` files below a folder.
fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            into.push(path);
        }
    }
    Ok(())
}
