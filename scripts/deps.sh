#!/bin/sh
# deps.sh: brings what is missing to build and run bun-metal, and nothing else. Called by `make deps`.
# Bun comes from npm into $BUN_TOOLS when it is not on PATH. The compiler comes from the system's packages:
# apt on Debian and Ubuntu, as root or through sudo; elsewhere a message says what to install.
# An argument asks for more: `dist`, what building the libraries that ship needs (to compile for the other
# architecture), `test-dist`, what testing them needs too (to run that architecture's programs).
set -eu
tools=${BUN_TOOLS:-.tools}
purpose=${1:-build}
# The architecture that this machine is not, as Debian calls it, and the kind of machine as compilers do.
case $(uname -m) in
  aarch64 | arm64) other=amd64 other_machine=x86_64 ;;
  *) other=arm64 other_machine=aarch64 ;;
esac

fail() {
  printf 'deps: %s\n' "$@" >&2
  exit 1
}

bring_bun() {
  command -v bun >/dev/null 2>&1 && return
  [ -x "$tools/node_modules/.bin/bun" ] && "$tools/node_modules/.bin/bun" --version >/dev/null 2>&1 && return
  command -v npm >/dev/null 2>&1 || fail "Bun is not on PATH, and npm, which would bring it, is not either." \
    "Install Bun (https://bun.sh) or Node.js with npm."
  echo "  bun     into $tools"
  mkdir -p "$tools"
  [ -f "$tools/package.json" ] || echo '{"private":true}' >"$tools/package.json"
  npm install --prefix "$tools" --no-save --no-audit --no-fund --loglevel=error bun@1 >"$tools/npm.log" 2>&1 ||
    { cat "$tools/npm.log" >&2; fail "npm could not install Bun."; }
  # npm may have been told to run no install scripts; Bun's is what puts the program in place.
  "$tools/node_modules/.bin/bun" --version >/dev/null 2>&1 || (cd "$tools/node_modules/bun" && node install.js) ||
    fail "Bun was installed into $tools but does not run."
}

# What testing the packages needs besides: the Bun of the architecture that this machine is not.
bring_foreign_bun() {
  command -v npm >/dev/null 2>&1 || fail "npm, which brings Bun for $other_machine, is not on PATH: install Node.js with npm."
  bun=$(command -v bun || echo "$tools/node_modules/.bin/bun")
  package=@oven/bun-linux-$([ "$other_machine" = x86_64 ] && echo x64 || echo aarch64)@$("$bun" --version)
  foreign=$tools/bun-$other_machine
  [ "$(cat "$foreign/version" 2>/dev/null)" = "$package" ] && return
  echo "  bun     for $other_machine into $foreign"
  rm -rf "$foreign"
  mkdir -p "$foreign"
  (cd "$foreign" && npm pack --silent "$package" >/dev/null && tar xzf ./*.tgz && rm ./*.tgz) ||
    fail "npm could not bring $package."
  echo "$package" >"$foreign/version"
}

# The newest of the packages "$1<number>$2" that apt knows, with $3 preferred.
newest_package() {
  if apt-cache show "$1$3$2" >/dev/null 2>&1; then echo "$1$3$2"; return; fi
  apt-cache search --names-only "^$1[0-9]+$2\$" | cut -d ' ' -f 1 | sort -V | tail -n 1
}

missing_on_debian() {
  command -v clang-19 >/dev/null 2>&1 || ls /usr/bin/clang-[0-9]* >/dev/null 2>&1 || echo clang
  command -v ld.lld-19 >/dev/null 2>&1 || ls /usr/bin/ld.lld* >/dev/null 2>&1 || echo lld
  command -v llvm-ar-19 >/dev/null 2>&1 || ls /usr/bin/llvm-ar* >/dev/null 2>&1 || echo llvm
  ls /usr/lib/gcc/*/*/include/objc/objc.h >/dev/null 2>&1 || echo libobjc
  case $purpose in dist | test-dist) ;; *) return 0 ;; esac
  [ -e "/usr/$other_machine-linux-gnu/lib/libc.so" ] || echo libc-cross
  ls "/usr/lib/gcc-cross/$other_machine-linux-gnu"/*/crtbeginS.o >/dev/null 2>&1 || echo libgcc-cross
  [ -e "/usr/$other_machine-linux-gnu/lib/libobjc.so.4" ] || echo libobjc-cross
  [ "$purpose" = dist ] || command -v "qemu-$other_machine" >/dev/null 2>&1 || echo qemu
}

bring_debian_packages() {
  missing=$(missing_on_debian)
  [ -n "$missing" ] || return 0
  root=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null && root=sudo || root=none
  fi
  if [ "$root" != none ]; then $root apt-get update -qq || fail "apt-get update failed."; fi
  packages=
  for item in $missing; do
    case $item in
      libobjc) packages="$packages $(newest_package libobjc- -dev 12)" ;;
      libc-cross) packages="$packages libc6-dev-$other-cross" ;;
      libgcc-cross) packages="$packages $(newest_package libgcc- "-dev-$other-cross" 12)" ;;
      libobjc-cross) packages="$packages libobjc4-$other-cross" ;;
      qemu) packages="$packages qemu-user" ;;
      *) packages="$packages $(newest_package "$item-" '' 19)" ;;
    esac
  done
  [ "$root" != none ] || fail "these packages are missing; type this and run make again:" \
    "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$packages"
  echo "  apt    $packages"
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends $packages >/dev/null ||
    fail "apt-get could not install:$packages"
}

case $(uname -s) in
  Linux)
    bring_bun
    [ "$purpose" != test-dist ] || bring_foreign_bun
    if command -v apt-get >/dev/null 2>&1; then
      bring_debian_packages
    else
      [ -z "$(missing_on_debian)" ] ||
        fail "clang, lld, llvm (19) and GNU's libobjc with its headers are needed; install them with your package manager." \
          "Building what ships needs Debian's or Ubuntu's packages for cross-compiling besides: make dist runs there."
    fi
    ;;
  Darwin)
    xcode-select -p >/dev/null 2>&1 || fail "the Xcode command line tools are missing; type: xcode-select --install"
    bring_bun
    ;;
  *) fail "bun-metal builds on macOS and Linux, not on $(uname -s)." ;;
esac
