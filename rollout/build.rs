//! Writes libtorch's folder, as `model` reports it, into the binaries and tests of this crate.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_GROUPER_MODEL_LIBTORCH_LIB");
    if let Ok(lib) = std::env::var("DEP_GROUPER_MODEL_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
