#!/bin/sh
# shader_source.sh [--header] FILE...: joins .metal files into one text, for a compiler that has no files to include from.
# Quoted includes are put in their places, each once; lines keep the names and numbers of their files in messages.
# With --header, the text comes as a C string literal, to be included where one may stand.
set -eu
header=0
[ "$1" != --header ] || { header=1 && shift; }

join='
function directory(path) { return path ~ /\// ? substr(path, 1, match(path, /\/[^\/]*$/)) : "" }
function name(path) { sub(/.*\//, "", path); return path }
function expand(path,   line, number, status, included) {
  if (path in seen) return
  seen[path] = 1
  printf "#line 1 \"%s\"\n", name(path)
  while ((status = (getline line < path)) > 0) {
    number++
    if (line ~ /^[ \t]*#[ \t]*include[ \t]*"/) {
      included = line
      sub(/^[^"]*"/, "", included)
      sub(/".*/, "", included)
      expand(directory(path) included)
      printf "#line %d \"%s\"\n", number + 1, name(path)
    } else if (line ~ /^[ \t]*#[ \t]*pragma[ \t]+once/) print ""
    else print line
  }
  if (status < 0) { print "shader_source: cannot read " path > "/dev/stderr"; exit 1 }
  close(path)
}
BEGIN { for (i = 1; i < ARGC; i++) expand(ARGV[i]) }'

if [ $header = 0 ]; then
  awk "$join" "$@"
else
  text=$(awk "$join" "$@") || exit 1
  printf '%s\n' "$text" | sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/'
fi
