#!/bin/sh
# test_gpu.sh: the tests on an NVIDIA GPU, and those of the kernels under compute-sanitizer. `make test-gpu` calls it with BUN
# and OUT. Without a GPU it says so, and that is no failure.
#
#   test_gpu.sh [PART]...    native, kernels, test, memcheck, racecheck, initcheck, synccheck (default: all)
#
# GPU_DEVICE is the device to test, cuda unless set. GPU_TESTS are the tests to run on it, GPU_KERNEL_TESTS those that run under
# the sanitizer.
set -u
bun=${BUN:-bun}
out=${OUT:-build/linux-x86_64}
device=${GPU_DEVICE:-cuda}
# Rooms whose subject is the CPU device, other machines or no device stay out.
tests=${GPU_TESTS:-test/linux/gpu.test.ts test/runtime test/kernels test/tensor test/llama test/stress}
kernel_tests=${GPU_KERNEL_TESTS:-test/kernels}
parts=${*:-native kernels test memcheck racecheck initcheck synccheck}

devices=$("$bun" run src/cli/main.ts devices)
has_device() { printf '%s\n' "$devices" | grep -q "^$device $1"; }
if ! has_device ''; then
  echo "test-gpu: this machine has no device \"$device\" (NVIDIA GPU of compute capability 8.0 or newer, with its driver): nothing was tested"
  exit 0
fi
printf '%s\n' "$devices"
export BUN_METAL_DEVICE="$device"
failed=

# Compiling MSL takes a clang, which a machine with a GPU need not have.
compiler=
for name in ${BUN_METAL_CLANG:-clang-19 clang-20 clang-21 clang}; do
  command -v "$name" >/dev/null 2>&1 && compiler=$name && break
done
compiling='compileKernels|queue_worker|working_device|device\.compile\('
if [ -z "$compiler" ]; then
  # shellcheck disable=SC2086
  left_out=$(find $tests -name '*.test.ts' -exec grep -lE "$compiling" {} +)
  # shellcheck disable=SC2086
  tests=$(find $tests -name '*.test.ts' -exec grep -LE "$compiling" {} +)
  echo "test-gpu: there is no clang to compile MSL with: left out are native/ and" $left_out
fi

# Compiled kernels of thousands of tests: the driver's own cache keeps them from one part to the next.
export CUDA_CACHE_MAXSIZE=${CUDA_CACHE_MAXSIZE:-4294967296}

run() {
  name=$1
  shift
  echo "== $name: $*"
  "$@" || failed="$failed $name"
}

sanitize() {
  if ! command -v compute-sanitizer >/dev/null 2>&1; then
    echo "test-gpu: compute-sanitizer is not on PATH: $1 was not run"
    return
  fi
  # The driver's own calls that fail on purpose (asking what there is) are no errors of ours.
  run "$1" env BUN_METAL_CUDA_CHECK=memory compute-sanitizer --tool "$1" --error-exitcode 9 --report-api-errors no --target-processes all \
    "$bun" test --timeout 600000 $kernel_tests
}

for part in $parts; do
  case $part in
    native)
      [ -n "$compiler" ] || continue
      for name in metal metal_indirect metal_lifetime bridge_queue bridge_program bridge_object program_lifetime; do
        run "native/$name" "$out/native/$name"
      done ;;
    kernels)
      # Those of bridge/linux/cuda/native, by the tests that they have where there is no GPU.
      # Tests that are called *_groups are of kernels for compute capability 9.0 alone.
      for program in "$out"/native/cuda_simulator_*; do
        target=sm_80
        sources=$(ls bridge/linux/cuda/native/*.cu | grep -v _sm90a)
        case $program in
          *_groups)
            target=sm_90a
            sources=$(ls bridge/linux/cuda/native/*_sm90a.cu)
            has_device '.*sm_90)' || continue ;;
        esac
        # By their sources: an older build may have left other ones.
        ptx=$(ls build/cuda/native/test/*.ptx && for source in $sources; do
          echo "build/cuda/native/$target/$(basename "$source" .cu).ptx"
        done)
        ptx=$(echo "$ptx" | paste -sd: -)
        run "kernels/${program##*cuda_simulator_}" env CUDA_SIMULATOR=gpu CUDA_SIMULATOR_PTX="$ptx" "$program"
      done ;;
    test) run test "$bun" test --timeout 600000 $tests ;;
    memcheck | racecheck | initcheck | synccheck) sanitize "$part" ;;
    *) echo "test-gpu: there is no part \"$part\"" >&2; exit 2 ;;
  esac
done
[ -z "$failed" ] && echo "test-gpu: all passed" && exit 0
echo "test-gpu: failed:$failed" >&2
exit 1
