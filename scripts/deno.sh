#!/bin/sh
# deno.sh TOOLS: prints the path of Deno 2.9 or a newer 2: the one on PATH, or the one from npm in TOOLS/deno, which is
# brought first where there is none.
set -eu
tools=$1/deno
brought=$tools/node_modules/.bin/deno

fail() {
  printf 'deno: %s\n' "$@" >&2
  exit 1
}

serves() {
  DENO_NO_UPDATE_CHECK=1 "$1" --version 2>/dev/null | grep -Eq '^deno 2\.(9|[1-9][0-9])\.'
}

if serves deno; then command -v deno; exit; fi
if ! serves "$brought"; then
  command -v npm >/dev/null 2>&1 || fail "Deno 2.9 or newer is not on PATH, and npm, which would bring it, is not either." \
    "Install Deno (https://deno.com) or Node.js with npm."
  echo "  deno    into $tools" >&2
  mkdir -p "$tools"
  [ -f "$tools/package.json" ] || echo '{"private":true}' >"$tools/package.json"
  npm install --prefix "$tools" --no-save --no-audit --no-fund --loglevel=error deno@2 >"$tools/npm.log" 2>&1 ||
    { cat "$tools/npm.log" >&2; fail "npm could not install Deno."; }
  # npm may have been told to run no install scripts; Deno's is what puts the program in place.
  serves "$brought" || (cd "$tools/node_modules/deno" && node install.cjs) || true
  serves "$brought" || fail "Deno was installed into $tools but does not run."
fi
echo "$(cd "$tools" && pwd)/node_modules/.bin/deno"
