//! Lets programs find libtorch without an environment variable: `torch-sys` tells its direct dependents
//! where it linked libtorch from; this passes the folder on to the crates that depend on `model`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::metadata=libtorch_lib={lib}");
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
