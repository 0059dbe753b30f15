//! Compiles the contract of the benchmarks' echo. It is no contract of the platform, so it lies with the benchmarks.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new("../../tests/bench");
    let contract = folder.join("echo.proto");
    println!("cargo:rerun-if-changed={}", contract.display());
    let mut compiler = protox::Compiler::new([folder, Path::new("../../proto")])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files([&contract])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("echo.bin"), compiler.encode_file_descriptor_set())?;
    let mut files = compiler.file_descriptor_set();
    files.file.retain(|file| !file.name().starts_with("google/api/"));
    tonic_prost_build::configure()
        .compile_well_known_types(false)
        .compile_fds(files)?;
    Ok(())
}
