#!/bin/sh
# libobjc_license.sh LIBRARY: writes what has to go with a copy of GCC's Objective-C runtime: what it is and where its
# source is, the GCC Runtime Library Exception and the GNU General Public License, as Debian's packages have them.
set -eu
library=$1
fail() {
  printf 'libobjc_license: %s\n' "$@" >&2
  exit 1
}

command -v dpkg-query >/dev/null 2>&1 || fail "cannot tell where '$library' comes from without dpkg-query"
package=$(dpkg-query -S "$library" 2>/dev/null | sed 's/: .*//;q')
[ -n "$package" ] || fail "'$library' belongs to no package of this system"
version=$(dpkg-query -W -f='${Version}' "$package")
# Packages for cross-compiling are built from the source package that they name.
source_version=$(dpkg-query -W -f='${Built-Using}' "$package" | sed -n 's/.*(= \([^)]*\)).*/\1/p')
[ -n "$source_version" ] || source_version=$version
source_name=$(dpkg-query -W -f='${source:Package}' "$package" | sed 's/-cross$//')

copyright=/usr/share/doc/${package%%:*}/copyright
# The package's directory is a link to this one, which small images leave out.
[ -r "$copyright" ] || copyright=/usr/share/doc/$source_name-base/copyright
gpl=/usr/share/common-licenses/GPL-3
for file in "$copyright" "$gpl"; do [ -r "$file" ] || fail "'$file' is missing"; done
exception=$(awk '/^GCC RUNTIME LIBRARY EXCEPTION/ { on = 1 } on && /^requirements of the license of GCC\./ { print; exit } on' "$copyright")
case $exception in *"requirements of the license of GCC."*) ;; *) fail "'$copyright' does not hold the exception" ;; esac

cat <<END
libobjc.so.4 is the Objective-C runtime of the GNU Compiler Collection, an unmodified copy of the file of that name in
Debian's package ${package%%:*}, version $version. It is not part of bun-metal, and bun-metal's licence
does not cover it: it is

  Copyright (C) 1993-2022 Free Software Foundation, Inc.

free software under the GNU General Public License, version 3 or later, with the GCC Runtime Library Exception, version
3.1. Both texts follow. It comes with no warranty.

The corresponding source is Debian's source package $source_name, version $source_version:
  https://snapshot.debian.org/package/$source_name/$source_version/
(directory libobjc in it), and that of GCC itself: https://gcc.gnu.org/

Any libobjc.so.4 may take its place: a system's own, or one that you have built.

--------------------------------------------------------------------------------

$exception

--------------------------------------------------------------------------------

END
cat "$gpl"
