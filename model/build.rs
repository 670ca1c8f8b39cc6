//! Compiles the C++ bridge.

fn main() {
    cxx_build::bridge("src/kernels.rs")
        .file("bridge/kernels.cpp")
        .include("bridge")
        .std("c++20")
        .opt_level(3)
        .flag_if_supported("-Wno-psabi")
        .compile("grouper_kernels");
    println!("cargo:rerun-if-changed=bridge");
}
