#!/bin/sh
# info_plist.sh: the Info.plist of the .xcframework. One argument for each slice, as "ios-simulator: arm64 x86_64".
set -eu

cat <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>AvailableLibraries</key>
  <array>
END
for slice in "$@"; do
  platform=${slice%%:*}
  architectures=${slice#*: }
  system=${platform%%-*}
  variant=${platform#"$system"}
  cat <<END
    <dict>
      <key>BinaryPath</key>
      <string>libBunMetal.a</string>
      <key>HeadersPath</key>
      <string>Headers</string>
      <key>LibraryIdentifier</key>
      <string>$system-$(echo "$architectures" | tr ' ' _)$variant</string>
      <key>LibraryPath</key>
      <string>libBunMetal.a</string>
      <key>SupportedArchitectures</key>
      <array>
END
  for architecture in $architectures; do
    echo "        <string>$architecture</string>"
  done
  cat <<END
      </array>
      <key>SupportedPlatform</key>
      <string>$system</string>
END
  [ -z "$variant" ] || cat <<END
      <key>SupportedPlatformVariant</key>
      <string>${variant#-}</string>
END
  echo '    </dict>'
done
cat <<'END'
  </array>
  <key>CFBundlePackageType</key>
  <string>XFWK</string>
  <key>XCFrameworkFormatVersion</key>
  <string>1.0</string>
</dict>
</plist>
END
