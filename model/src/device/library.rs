//! libtorch's CUDA library, loaded while the program runs.
//!
//! A program is linked with libtorch's CPU libraries alone. Where `libtorch_cuda.so` of the same build is found and
//! loaded, its kernels register themselves and the same program computes on a GPU. That has to happen before the first
//! tensor is made: libtorch asks once what there is and remembers the answer.

use std::ffi::{CStr, CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The library that holds the kernels. Its own dependencies are found beside it or by its run path.
const LIBRARY: &str = "libtorch_cuda.so";

/// The version that this program was made for.
const VERSION: &str = "2.11.0";

/// Why there is no CUDA library.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It is in none of the folders that were looked in.
    #[error("no {LIBRARY} of libtorch {VERSION} in {}", list(.looked))]
    NotFound {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// It belongs to another version of libtorch.
    #[error("`{}` is of libtorch {found}, and this program is linked with {VERSION}", file.display())]
    OtherVersion {
        /// The library.
        file: PathBuf,
        /// What the file beside it says.
        found: String,
    },
    /// The loader refused it.
    #[error("load `{}`: {reason}", file.display())]
    Refused {
        /// The library.
        file: PathBuf,
        /// What the loader says.
        reason: String,
    },
}

fn list(folders: &[PathBuf]) -> String {
    if folders.is_empty() {
        return "any folder, for none was named".into();
    }
    folders.iter().map(|folder| format!("`{}`", folder.display())).collect::<Vec<_>>().join(", ")
}

/// Loads libtorch's CUDA library out of the first of `folders` that has it, itself or in its `lib`; returns its path.
///
/// # Errors
/// Where no folder has it, it is of another version, or the loader refuses it.
pub fn load_cuda(folders: &[PathBuf]) -> Result<PathBuf, LibraryError> {
    let places = folders.iter().flat_map(|folder| [folder.join(LIBRARY), folder.join("lib").join(LIBRARY)]);
    let Some(file) = places.into_iter().find(|file| file.is_file()) else {
        return Err(LibraryError::NotFound { looked: folders.to_vec() });
    };
    if let Some(found) = version_of(&file)
        && found.split('+').next() != Some(VERSION)
    {
        return Err(LibraryError::OtherVersion { file, found });
    }
    match open(&file) {
        Ok(()) => Ok(file),
        Err(reason) => Err(LibraryError::Refused { file, reason }),
    }
}

/// Bytes of memory that the first CUDA device has free; `None` where libtorch's CUDA library is not loaded, or the driver
/// does not say.
pub fn free_cuda_memory() -> Option<u64> {
    type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
    // SAFETY: a symbol is looked up by a name that ends with a zero.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"cudaMemGetInfo".as_ptr()) };
    let (mut free, mut total) = (0usize, 0usize);
    // SAFETY: CUDA's runtime, which libtorch's library brings, has declared its function so in every version.
    let ask = (!symbol.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, MemGetInfo>(symbol) })?;
    // SAFETY: both numbers outlive the call.
    (unsafe { ask(&mut free, &mut total) } == 0).then_some(free as u64)
}

/// The folder of the libtorch that this program runs with.
pub fn beside_libtorch() -> Option<PathBuf> {
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    let name = c"_ZN2at13globalContextEv";
    // SAFETY: a symbol is looked up by a name that ends with a zero; `found` outlives the call that fills it in.
    let known = unsafe {
        let symbol: *mut c_void = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr());
        !symbol.is_null() && libc::dladdr(symbol, &mut found) != 0 && !found.dli_fname.is_null()
    };
    // SAFETY: the loader gave a string that lives as long as the library is loaded, which is for ever.
    let file = known.then(|| unsafe { CStr::from_ptr(found.dli_fname) })?;
    let file = Path::new(std::ffi::OsStr::from_bytes(file.to_bytes()));
    file.parent().map(Path::to_owned)
}

/// What the build beside a library says of itself: `build-version` in libtorch's archives, `version.py` in a Python's
/// torch.
fn version_of(file: &Path) -> Option<String> {
    let root = file.parent()?.parent()?;
    if let Ok(text) = std::fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = std::fs::read_to_string(root.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    line.split(['\'', '"']).nth(1).map(str::to_owned)
}

fn open(file: &Path) -> Result<(), String> {
    let path = CString::new(file.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    const HOW: c_int = libc::RTLD_NOW | libc::RTLD_GLOBAL;
    // SAFETY: the path ends with a zero. What the library does while it is loaded is register kernels.
    let handle = unsafe { libc::dlopen(path.as_ptr(), HOW) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: the loader's message lives until its next call on this thread, and is copied.
    let reason = unsafe { libc::dlerror() };
    match reason.is_null() {
        true => Err("no reason given".into()),
        // SAFETY: not null, and the string ends with a zero.
        false => Err(unsafe { CStr::from_ptr(reason) }.to_string_lossy().into_owned()),
    }
}
