#!/usr/bin/env bash
# Where the CUDA toolkit lies that `--features cuda` is built with, as shell exports; one is made where there is none.
#
#   eval "$(bash benches/cuda-home.sh)"
#
# A toolkit that CUDA_HOME names, or whose nvcc is on PATH, is used as it is. Otherwise one is put together in
# target/cuda (or the folder given) from NVIDIA's Python wheels, without root and without a card: about 1.2 GB, needs
# python3 with venv, gcc and a package index. Its version is held at 13.0, since a driver refuses the intermediate code
# (PTX) of a newer compiler than its own CUDA.
#
# CUDA_COMPUTE_CAP names the cards that our kernels are compiled for to the end, 90 (Hopper) unless it is set. The binary has
# intermediate code for 80 (Ampere) and later besides, which any other card compiles when it opens it.
#
# To run the binary, the machine with the card needs its driver and the libraries libcudart, libcublas, libcublasLt and libcurand of
# CUDA 13: where PyTorch for CUDA 13 is installed, LD_LIBRARY_PATH may point at those that came with it.
set -euo pipefail

say() { echo "$*" >&2; }

# Everything a build script of ours or of candle asks for.
exports() {
    local home=$1
    cat <<EXPORTS
export CUDA_HOME='$home' CUDA_PATH='$home' NVCC='$home/bin/nvcc'
export CUDA_COMPUTE_CAP="\${CUDA_COMPUTE_CAP:-90}"
export PATH='$home/bin':"\$PATH"
export LIBRARY_PATH='$home/lib64:$home/lib64/stubs'"\${LIBRARY_PATH:+:\$LIBRARY_PATH}"
EXPORTS
}

if [ -n "${CUDA_HOME:-}" ] && [ -x "$CUDA_HOME/bin/nvcc" ]; then
    exports "$CUDA_HOME"
    exit
fi
if nvcc=$(command -v nvcc); then
    exports "$(dirname "$(dirname "$(readlink -f "$nvcc")")")"
    exit
fi

repository=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$repository/target/cuda}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
home=$folder/home
if [ -f "$folder/complete" ]; then
    exports "$home"
    exit
fi

for program in python3 gcc cargo; do
    command -v "$program" >/dev/null || { say "error: no $program, which making a CUDA toolkit needs"; exit 2; }
done

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
# all those that cudarc, which candle calls CUDA through, may call. Whoever runs with it is told CUDA_ERROR_STUB_LIBRARY.
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

touch "$folder/complete"
exports "$home"
