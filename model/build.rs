//! Compiles the C++ bridge and lets programs find libtorch without an environment variable: `torch-sys` tells its
//! direct dependents where it linked libtorch from; this passes the folder on to the crates that depend on `model`.

fn main() {
    cxx_build::bridges([
        "src/attention.rs",
        "src/attention/step.rs",
        "src/fp8.rs",
        "src/gumbel.rs",
        "src/kernels.rs",
        "src/product.rs",
    ])
    .file("bridge/attention.cpp")
    .file("bridge/fp8.cpp")
    .file("bridge/kernels.cpp")
    .file("bridge/product.cpp")
    .include("bridge")
    .std("c++20")
    .opt_level(3)
    .flag_if_supported("-Wno-psabi")
    .compile("grouper_kernels");
    // Without contraction: a draw is rounded as its definition says.
    cc::Build::new()
        .cpp(true)
        .file("bridge/sampling.cpp")
        .include("bridge")
        .std("c++20")
        .opt_level(3)
        .flag("-ffp-contract=off")
        .flag_if_supported("-Wno-psabi")
        .compile("grouper_sampling");
    // The same products and attention for three sets of instructions; which runs is chosen when the program does.
    for (set, arch) in [("avx512", "x86-64-v4"), ("avx2", "x86-64-v3"), ("sse2", "x86-64")] {
        cc::Build::new()
            .cpp(true)
            .file(format!("bridge/{set}.cpp"))
            .include("bridge")
            .std("c++20")
            .opt_level(3)
            .flag(format!("-march={arch}"))
            .flag("-ffp-contract=off")
            // GCC 12 says this of its own intrinsics.
            .flag_if_supported("-Wno-maybe-uninitialized")
            .compile(&format!("grouper_{set}"));
    }
    println!("cargo::rerun-if-changed=bridge");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::metadata=libtorch_lib={lib}");
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
