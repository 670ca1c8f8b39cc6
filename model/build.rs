//! Compiles the C++ bridge and lets programs find libtorch without an environment variable: `torch-sys` tells its
//! direct dependents where it linked libtorch from; this passes the folder on to the crates that depend on `model`.

fn main() {
    cxx_build::bridge("src/kernels.rs")
        .file("bridge/kernels.cpp")
        .include("bridge")
        .std("c++20")
        .opt_level(3)
        .flag_if_supported("-Wno-psabi")
        .compile("grouper_kernels");
    println!("cargo::rerun-if-changed=bridge");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::metadata=libtorch_lib={lib}");
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
