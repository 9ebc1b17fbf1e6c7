# Writes the stub libraries (.tbd, version 4) of one platform from apple/symbols.txt.
#   awk -v platform=ios-simulator -v architectures="arm64 x86_64" -v sdk=DIRECTORY -f apple/stubs.awk apple/symbols.txt

BEGIN {
  count = split(architectures, names, " ")
  for (i = 1; i <= count; i++) targets[i] = names[i] "-" platform
}

/^ *(#|$)/ { next }

$1 == "library" {
  finish()
  framework = $3 ~ /\.framework\//
  folder = framework ? "System/Library/Frameworks/" $2 ".framework" : "usr/lib"
  stub = sdk "/" folder "/" $2 ".tbd"
  install = $3
  if (platform == "macos") gsub(/[][]/, "", install)
  else sub(/\[.*\]/, "", install)
  if (system("mkdir -p '" sdk "/" folder "'")) exit 1
  print "--- !tapi-tbd\ntbd-version: 4\ntargets: [ " list(targets) " ]\ninstall-name: '" install "'\n" \
        "compatibility-version: " $4 "\ncurrent-version: " $5 > stub
  next
}

$1 !~ /^(class|exception|symbol)$/ {
  print FILENAME ":" FNR ": there is no kind \"" $1 "\"" > "/dev/stderr"
  exit 1
}

{
  kind = $1 == "class" ? "objc-classes" : $1 == "exception" ? "objc-eh-types" : "symbols"
  for (i = 1; i <= count; i++) if (isThere(targets[i])) {
    key = targets[i] SUBSEP kind
    members[key] = members[key] (members[key] == "" ? "" : ", ") "'" $2 "'"
  }
}

END { finish() }

# Whether the conditions after the name of this line hold for a target.
function isThere(target,   field) {
  for (field = 3; field <= NF; field++) {
    if ($field ~ /^only=/ && !index(target, substr($field, 6))) return 0
    if ($field ~ /^except=/ && index(target, substr($field, 8))) return 0
  }
  return 1
}

function finish(   i, kind, kinds, k, key, header) {
  if (stub == "") return
  split("symbols objc-classes objc-eh-types", kinds, " ")
  header = "exports:"
  for (i = 1; i <= count; i++) for (k = 1; k <= 3; k++) {
    key = targets[i] SUBSEP kinds[k]
    if (members[key] == "") continue
    if (header != "") print header > stub
    header = ""
    print "  - targets: [ " targets[i] " ]\n    " kinds[k] ": [ " members[key] " ]" > stub
  }
  print "..." > stub
  close(stub)
  delete members
}

function list(elements,   i, text) {
  for (i = 1; i <= count; i++) text = text (i > 1 ? ", " : "") elements[i]
  return text
}
