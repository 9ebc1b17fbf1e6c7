#!/bin/sh
# verify_mac.sh: what no Linux machine can tell, asked of a Mac. `make verify-mac` calls it, after `make build`.
#
#   sh scripts/verify_mac.sh [STEP...]     all steps, or those that are named
#
# Each step writes what it saw to build/verify-mac/STEP.txt; the summary says which passed. A failed step does not stop
# the others. The archive at the end is what to send back (docs/verify-on-a-mac.md).
set -u
bun=${BUN:-bun}
report=build/verify-mac
library=$(echo build/darwin-*/libbun_metal.dylib)
steps='system library pipelines tests validation pools leaks bench'

fail() {
  printf 'verify-mac: %s\n' "$@" >&2
  exit 2
}

[ "$(uname -s)" = Darwin ] || fail "this has to run on a Mac; this is $(uname -s)." \
  "What Linux can check of the Mac library, \`make test\` checks."
for step in "$@"; do
  case " $steps " in *" $step "*) ;; *) fail "there is no step \"$step\"; there are: $steps" ;; esac
done

# Which machine, system and tools the answers hold for.
system() {
  sw_vers && uname -m && sysctl -n machdep.cpu.brand_string hw.memsize && clang --version && "$bun" --version &&
    git log -1 --format=%H
  system_profiler SPDisplaysDataType
  xcodebuild -version || echo 'no Xcode: shaders are compiled at run time'
}

# The library of the clone and the one that ships as Apple's own tools see them: every symbol bound, the classes of newer
# systems weak, the signature valid.
library() {
  make dist-apple metallib || return 1
  for file in "$library" dist/darwin/bun-metal.dylib; do
    otool -L "$file" && vtool -show-build "$file" && codesign -vv "$file" && dyld_info -imports "$file" || return 1
  done
}

# Every shader through Apple's compiler, every pipeline with its limits.
pipelines() {
  "$bun" run test/mac/pipelines.ts
}

tests() {
  make test
}

# The same with Metal's API and shader validation. They take the place of the shader cache, and of speed.
validation() {
  MTL_DEBUG_LAYER=1 MTL_DEBUG_LAYER_ERROR_MODE=assert MTL_DEBUG_LAYER_VALIDATE_UNRETAINED_RESOURCES=4 \
    MTL_SHADER_VALIDATION=1 MTL_SHADER_VALIDATION_REPORT_TO_STDERR=1 BUN_METAL_DISABLE=shader-cache \
    "$bun" test --timeout 600000 test/runtime test/kernels test/llama
}

# The runtime logs each object that is autoreleased with no pool in place: none may be.
pools() {
  OBJC_DEBUG_MISSING_POOLS=YES NSZombieEnabled=YES "$bun" test --timeout 600000 test/runtime test/stress || return 1
  missing=$(grep -c 'autoreleased with no pool in place' "$report/pools.txt")
  echo "objects autoreleased with no pool in place: $missing"
  [ "$missing" -eq 0 ]
}

leaks() {
  MallocStackLogging=1 command leaks --atExit -- "$bun" run examples/llama.ts --tokens 100 --seed 1 --stats
}

bench() {
  "$bun" run test/bench/run.ts --only small,layers --json "$report/bench.json"
}

mkdir -p "$report"
failed=
for step in ${*:-$steps}; do
  printf '%-12s' "$step"
  if "$step" >"$report/$step.txt" 2>&1; then
    echo ok
  else
    echo "FAILED, see $report/$step.txt"
    failed="$failed $step"
  fi
done
archive=build/verify-mac.tar.gz
tar -czf "$archive" -C build verify-mac
echo
echo "Please send $archive back, whatever it says: docs/verify-on-a-mac.md tells where."
[ -z "$failed" ] || { echo "Failed:$failed"; exit 1; }
