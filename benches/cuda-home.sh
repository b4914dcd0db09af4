#!/usr/bin/env bash
# Where the CUDA toolkit lies that `--features cuda` is built with, as shell exports; one is made where there is none.
#
#   eval "$(bash benches/cuda-home.sh)"
#
# A toolkit that CUDA_HOME names, or whose nvcc is on PATH, is used as it is, and its version is said. Otherwise one is put
# together in target/cuda (or the folder given) from NVIDIA's Python wheels, without root and without a card: about 1.2 GB,
# needs python3 with venv, gcc, g++ and a package index. Its version is held at 13.0, since a driver refuses the intermediate
# code (PTX) of a newer compiler than its own CUDA.
#
# CUDA_COMPUTE_CAP names the cards that our kernels are compiled for to the end, 90 (Hopper) unless it is set; `9.0`, as
# nvidia-smi has it, is 90. The binary has intermediate code for 80 (Ampere) and later besides, which any other card compiles
# when it opens it.
#
# docs/gpu.md says what the machine with the card needs to run the binary.
set -euo pipefail

say() { echo "$*" >&2; }

# Everything a build script of ours or of candle asks for.
exports() {
    local home=$1 capability=${CUDA_COMPUTE_CAP:-90}
    cat <<EXPORTS
export CUDA_HOME='$home' CUDA_PATH='$home' NVCC='$home/bin/nvcc'
export CUDA_COMPUTE_CAP='${capability//./}'
export PATH='$home/bin':"\$PATH"
export LIBRARY_PATH='$home/lib64:$home/lib64/stubs'"\${LIBRARY_PATH:+:\$LIBRARY_PATH}"
EXPORTS
}

# A toolkit that somebody else has put there; its libraries are those that the binary will ask for.
found() {
    local home=$1 release
    release=$("$home/bin/nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
    say "using the CUDA ${release:-of unknown version} toolkit in $home"
    if [ "${release%%.*}" != 13 ]; then
        say "note: this code is written for CUDA 13; the binary will need the libraries and the driver of CUDA ${release:-that is there}"
        say "hint: unset CUDA_HOME, and take nvcc off PATH, for a toolkit of 13.0 made from wheels"
    fi
    exports "$home"
    exit
}

if [ -n "${CUDA_HOME:-}" ] && [ -x "$CUDA_HOME/bin/nvcc" ]; then
    found "$CUDA_HOME"
fi
if nvcc=$(command -v nvcc); then
    found "$(dirname "$(dirname "$(readlink -f "$nvcc")")")"
fi

repository=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$repository/target/cuda}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
home=$folder/home
# The number goes up with what is made here.
complete=$folder/complete-2
if [ -f "$complete" ]; then
    exports "$home"
    exit
fi

lacks() {
    say "error: no $1, which making a CUDA toolkit needs"
    say
    say "hint: $2"
    exit 2
}
for program in python3 gcc g++ cargo; do
    command -v "$program" >/dev/null || lacks "$program" "install it, or set CUDA_HOME to a toolkit that is there"
done
python3 -c 'import ensurepip, venv' 2>/dev/null || lacks "venv in python3" "apt-get install python3-venv, or the like"

say "making a CUDA 13.0 toolkit in $folder, some 1.2 GB"
[ -x "$folder/venv/bin/python" ] || python3 -m venv "$folder/venv" >&2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-nvrtc==13.0.88 \
    nvidia-cuda-runtime==13.0.88 nvidia-cuda-cccl==13.0.85 \
    nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35 >&2
wheels=$("$folder/venv/bin/python" -c 'import nvidia.cu13 as it; print(list(it.__path__)[0])')

# The wheels spread over bin, include, lib and nvvm what a toolkit has in bin, include, lib64 and nvvm, and name
# libraries by version alone; a linker looks for names without one.
mkdir -p "$home/lib64/stubs"
for part in bin include nvvm; do
    ln -sfn "$wheels/$part" "$home/$part"
done
for library in "$wheels"/lib/*; do
    name=$(basename "$library")
    ln -sfn "$library" "$home/lib64/$name"
    if [[ $name == *.so.* ]]; then
        ln -sfn "$library" "$home/lib64/${name%%.so.*}.so"
    fi
done

# libcuda belongs to the driver, and a machine without a card has none. To link, a library that has the names is enough:
# all those that cudarc, which candle calls CUDA through, may call. Where a program meets it at run time, each answers 34,
# CUDA_ERROR_STUB_LIBRARY, as NVIDIA's own stand-in does.
(cd "$repository" && cargo fetch --locked --quiet) >&2
names=$(cd "$repository" && cargo metadata --format-version 1 --locked --features forescale/cuda |
    python3 -c 'import json, pathlib, sys
packages = json.load(sys.stdin)["packages"]
[manifest] = [package["manifest_path"] for package in packages if package["name"] == "cudarc"]
print(pathlib.Path(manifest).parent / "src/driver/sys/mod.rs")')
grep -oE '\bfn cu[A-Za-z0-9_]+' "$names" | awk '{ print "int " $2 "(void) { return 34; }" }' | sort -u > "$folder/libcuda.c"
[ -s "$folder/libcuda.c" ] || { say "error: $names declares no function of the driver"; exit 1; }
gcc -w -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$home/lib64/stubs/libcuda.so" "$folder/libcuda.c"
ln -sfn libcuda.so "$home/lib64/stubs/libcuda.so.1"

touch "$complete"
exports "$home"
