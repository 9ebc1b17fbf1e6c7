#!/bin/sh
# dist_glibc.sh VERSION LIBRARY...: fails where a library needs a symbol of a glibc newer than VERSION.
set -eu
newest=$1
shift
readelf=$(command -v llvm-readelf-19 || command -v llvm-readelf || ls /usr/bin/llvm-readelf-[0-9]* 2>/dev/null | sort -V | tail -n 1)
for library in "$@"; do
  needed=$("$readelf" --version-info "$library" | grep -Eo 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -uV | tail -n 1)
  [ -n "$needed" ] || { echo "dist: cannot tell which glibc '$library' needs" >&2; exit 1; }
  [ "$(printf '%s\n%s\n' "$needed" "$newest" | sort -V | tail -n 1)" = "$newest" ] || {
    echo "dist: '$library' needs glibc $needed, newer than $newest: build on an older system (Debian 12)" >&2
    "$readelf" --dyn-syms "$library" | grep -Eo "[A-Za-z0-9_]+@GLIBC_$needed\b" >&2
    exit 1
  }
done
