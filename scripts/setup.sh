# Sourced by scripts/quickstart and scripts/test: checks what a build needs, exports LIBTORCH, and
# moves to the repository's root. A missing thing is named together with the line that helps.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=0
lacks() {
    printf 'missing: %s\n    %s\n' "$1" "$2" >&2
    missing=1
}

if [[ "$(uname -s) $(uname -m)" != "Linux x86_64" ]]; then
    lacks "Linux on x86-64 (this is $(uname -s) on $(uname -m))" \
        "grouper is built and tested there only; a container or a virtual machine of that kind serves"
else
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2 || true)
    if [[ -z "$glibc" || "$(printf '%s\n' 2.28 "$glibc" | sort -V | head -n1)" != 2.28 ]]; then
        lacks "glibc 2.28 or newer (this is ${glibc:-another C library})" \
            "libtorch needs it: Debian 10, Ubuntu 20.04, RHEL 8 and later have it; Alpine (musl) does not"
    fi
fi
command -v cargo >/dev/null || lacks "cargo" \
    "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh    # then open a new shell"
command -v python3 >/dev/null || lacks "python3 (fetches libtorch; training does not use it)" \
    "sudo apt-get install python3 python3-venv    # Debian, Ubuntu"
if [[ -n "${CXX:-}" ]]; then
    command -v "${CXX%% *}" >/dev/null || lacks "the C++ compiler named by CXX ($CXX)" "unset CXX"
else
    command -v c++ >/dev/null || lacks "a C++ compiler (c++)" \
        "sudo apt-get install g++    # Debian, Ubuntu; elsewhere: dnf install gcc-c++"
fi
[[ $missing -eq 0 ]] || exit 1

LIBTORCH=$(python3 scripts/libtorch)
export LIBTORCH
