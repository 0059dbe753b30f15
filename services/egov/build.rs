//! Compiles the contracts of the benchmarks' echo. They are no contracts of the platform, so they lie with the benchmarks.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new("../../tests/bench");
    let [echo, wide, stream] = ["echo.proto", "wide.proto", "stream.proto"].map(|name| folder.join(name));
    for contract in [&echo, &wide, &stream] {
        println!("cargo:rerun-if-changed={}", contract.display());
    }
    let mut compiler = protox::Compiler::new([folder, Path::new("../../proto")])?;
    compiler.include_imports(true).include_source_info(true);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    // As Envoy's transcoder reads it: the echo alone.
    compiler.open_files([&echo])?;
    fs::write(out.join("echo.bin"), compiler.encode_file_descriptor_set())?;
    // As the directory of interfaces takes it: all.
    compiler.open_files([&wide, &stream])?;
    fs::write(out.join("bench.bin"), compiler.encode_file_descriptor_set())?;
    let mut files = compiler.file_descriptor_set();
    files.file.retain(|file| !file.name().starts_with("google/api/"));
    tonic_prost_build::configure()
        .compile_well_known_types(false)
        // A piece of a stream is handed on without a copy.
        .bytes(".egov.bench.v1.Piece")
        .compile_fds(files)?;
    Ok(())
}
