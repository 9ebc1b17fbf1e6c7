// What `make dist-apple` makes, looked at as Apple's linker and loader look at it: systems, names, imports, exports,
// signatures, the folders of the .xcframework. Only a Mac can tell the rest.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { importFault, readAllowed } from "./allowed_symbols.ts";
import {
  compile,
  copySources,
  hasAllSdks,
  isCrossBuilt,
  make,
  makeStandInForXcode,
  PLATFORMS,
  type Platform,
  ROOT,
  runMake,
} from "./build.ts";
import { signatureFault, signedIdentifier } from "./code_signature.ts";
import { isUniversal, type MachO, membersOf, readMachO, type Slice, slicesOf } from "./mach_o.ts";
import { readPropertyList } from "./property_list.ts";

const dist = join(ROOT, "dist");
/** Empty on a Mac without Xcode, which cannot build for all platforms. */
const platforms = hasAllSdks() ? PLATFORMS : [];
const framework = join(dist, "BunMetal.xcframework");
const scratch = mkdtempSync(join(tmpdir(), "bun-metal-apple-"));
const table = readFileSync(join(ROOT, "apple/symbols.txt"), "utf8");

/** The functions that bridge/bun_metal.h declares, as Mach-O names them. */
function declaredFunctions(): string[] {
  const header = readFileSync(join(ROOT, "bridge/bun_metal.h"), "utf8");
  return [...header.matchAll(/^BM_EXPORT [^;(]*?\b(bm_\w+)\(/gm)].map((match) => `_${match[1]}`).sort();
}

function exportedSymbols(image: MachO): string[] {
  return image.exports.map(({ symbol }) => symbol).sort();
}

/** Every file below a directory, by relative path. */
function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(directory, name)).isFile())
    .sort();
}

function artifacts(): string[] {
  const ofFramework = platforms.length > 0 ? filesBelow(framework) : [];
  return ["darwin/bun-metal.dylib", ...ofFramework.map((name) => `BunMetal.xcframework/${name}`)];
}

let dylib: Uint8Array;
let images: { slice: Slice; image: MachO }[] = [];

/** The static library of a platform, by architecture. */
function librarySlices({ folder, architectures }: Platform): Slice[] {
  const bytes = readFileSync(join(framework, folder, "libBunMetal.a"));
  return isUniversal(bytes) ? slicesOf(bytes) : [{ architecture: architectures[0], bytes }];
}

beforeAll(() => {
  make(ROOT, ["dist-apple", ...(isCrossBuilt ? ["apple-stubs"] : [])]);
  dylib = readFileSync(join(dist, "darwin/bun-metal.dylib"));
  images = slicesOf(dylib).map((slice) => ({ slice, image: readMachO(slice.bytes) }));
}, 300_000);

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("bun-metal.dylib", () => {
  test("has a slice for each architecture of macOS 13 and later", () => {
    expect(images.map(({ slice }) => slice.architecture).sort()).toEqual(["arm64", "x86_64"]);
    for (const { slice, image } of images) {
      expect(image.architecture).toBe(slice.architecture);
      expect([image.fileType, image.platform, image.minimum]).toEqual([6, "macos", "13.0"]);
      expect(image.installName).toBe("@rpath/bun-metal.dylib");
    }
  });

  test("exports the functions of bun_metal.h and nothing else", () => {
    expect(declaredFunctions()).toContain("_bm_abi_version");
    expect(declaredFunctions().length).toBeGreaterThan(30);
    for (const { image } of images) expect(exportedSymbols(image)).toEqual(declaredFunctions());
  });

  test("keeps frame pointers on x86_64, by which profilers and unwinders walk", () => {
    const intel = images.filter(({ image }) => image.architecture === "x86_64");
    expect(intel.length).toBe(1);
    for (const { slice, image } of intel)
      for (const { symbol, offset } of image.exports) {
        // push %rbp; mov %rsp, %rbp: at the start, or after a check that needs no frame
        const start = Buffer.from(slice.bytes.subarray(offset, offset + 32)).toString("hex");
        expect([symbol, start]).toEqual([symbol, expect.stringContaining("554889e5")]);
      }
  });

  test("loads the libraries that it says, CoreGraphics among them", () => {
    for (const { image } of images) {
      const { libraries } = readAllowed(table, `${image.architecture}-macos`);
      const loaded = new Map(image.libraries.map((l) => [l.installName, l.compatibility]));
      for (const [name, compatibility] of libraries) {
        const found = loaded.get(name);
        if (found === undefined) throw new Error(`${name} is not loaded`);
        expect(found).toBeGreaterThan(0);
        if (isCrossBuilt) expect(found).toBe(compatibility);
      }
      if (isCrossBuilt) expect(loaded.size).toBe(libraries.size);
    }
  });

  test("imports what apple/symbols.txt allows, each from its own library, and newer symbols weakly", () => {
    if (!isCrossBuilt) console.log("imports are held against the table only where our stubs were linked");
    for (const { image } of images) {
      expect(image.imports.length).toBeGreaterThan(20);
      const allowed = readAllowed(table, `${image.architecture}-macos`);
      const faults = image.imports.map((each) => importFault(each, allowed)).filter((f) => f !== undefined);
      if (isCrossBuilt) expect(faults).toEqual([]);
    }
  });

  test("is signed ad hoc, each page with its hash", () => {
    for (const { slice, image } of images) {
      expect(signatureFault(slice.bytes, image)).toBeUndefined();
      if (isCrossBuilt) expect(signedIdentifier(slice.bytes, image)).toBe("bun-metal.dylib");
    }
  });
});

describe("the checks of the dylib", () => {
  test("a changed byte anywhere before the signature is found, and so is a cut signature", () => {
    for (const { slice, image } of images) {
      const end = image.signature?.offset ?? 0;
      for (const position of [40, 4096, Math.floor(end / 2), end - 1]) {
        const changed = Uint8Array.from(slice.bytes);
        changed[position] ^= 1;
        expect(signatureFault(changed, image)).toMatch(/^The hash of page "\d+" is wrong$/);
      }
      expect(signatureFault(slice.bytes.subarray(0, -1), image)).toContain("not the end");
      expect(signatureFault(slice.bytes, { ...image, signature: undefined })).toContain("not signed");
    }
  });

  test("an import that is unknown, from elsewhere or too strong is found", () => {
    const allowed = readAllowed(table, "arm64-macos");
    const foundation = "/System/Library/Frameworks/Foundation.framework/Versions/C/Foundation";
    const metal = "/System/Library/Frameworks/Metal.framework/Versions/A/Metal";
    const fault = (symbol: string, library: string, isWeak = false) =>
      importFault({ symbol, library, isWeak }, allowed);
    expect(fault("_OBJC_CLASS_$_NSString", foundation)).toBeUndefined();
    expect(fault("_OBJC_CLASS_$_NSURL", foundation)).toContain("comes from");
    expect(fault("_objc_msgSend_stret", "/usr/lib/libobjc.A.dylib")).toContain("not allowed");
    expect(fault("_MTLCopyAllDevices", metal)).toContain("strongly");
    expect(fault("_MTLCreateSystemDefaultDevice", metal, true)).toContain("weakly");
    expect(readAllowed(table, "arm64-ios").symbols.get("_OBJC_CLASS_$_NSString")?.library).toBe(
      "/System/Library/Frameworks/Foundation.framework/Foundation",
    );
  });
});

describe("BunMetal.xcframework", () => {
  test("describes its folders in Info.plist", () => {
    if (platforms.length === 0) return console.log("the .xcframework needs Xcode's SDKs for iOS and tvOS");
    const list = readPropertyList(readFileSync(join(framework, "Info.plist"), "utf8"));
    const expected = PLATFORMS.map(({ name, folder, architectures }) => {
      const [system, variant] = name.split("-");
      return {
        BinaryPath: "libBunMetal.a",
        HeadersPath: "Headers",
        LibraryIdentifier: folder,
        LibraryPath: "libBunMetal.a",
        SupportedArchitectures: architectures,
        SupportedPlatform: system,
        ...(variant === undefined ? {} : { SupportedPlatformVariant: variant }),
      };
    });
    expect(list).toEqual({
      AvailableLibraries: expected,
      CFBundlePackageType: "XFWK",
      XCFrameworkFormatVersion: "1.0",
    });
    const folders = readdirSync(framework).filter((name) => name !== "Info.plist");
    expect(folders.sort()).toEqual(PLATFORMS.map(({ folder }) => folder).sort());
  });

  for (const platform of platforms) {
    describe(platform.name, () => {
      test("has objects of its architectures and system only", () => {
        const slices = librarySlices(platform);
        expect(slices.map(({ architecture }) => architecture).sort()).toEqual([...platform.architectures]);
        for (const { architecture, bytes } of slices) {
          const members = membersOf(bytes);
          expect(members.length).toBeGreaterThan(10);
          for (const member of members) {
            const object = readMachO(member.bytes);
            expect([
              member.name,
              object.fileType,
              object.architecture,
              object.platform,
              object.minimum,
            ]).toEqual([member.name, 1, architecture, platform.name, platform.minimum]);
          }
        }
      });

      test("shows the functions of bun_metal.h and nothing else", () => {
        for (const { bytes } of librarySlices(platform)) {
          const visible = membersOf(bytes).flatMap((member) => [...readMachO(member.bytes).visibleSymbols]);
          expect(visible.sort()).toEqual(declaredFunctions());
        }
      });

      test("has the header, a module map for it, and the shaders", () => {
        const folder = join(framework, platform.folder);
        const header = readFileSync(join(folder, "Headers/bun_metal.h"), "utf8");
        expect(header).toBe(readFileSync(join(ROOT, "bridge/bun_metal.h"), "utf8"));
        const map = readFileSync(join(folder, "Headers/module.modulemap"), "utf8");
        expect(map).toContain('module BunMetal {\n  header "bun_metal.h"');
        const linked = [...map.matchAll(/^ {2}link framework "(\w+)"$/gm)].map((match) => match[1]);
        expect(linked.sort()).toEqual(["CoreGraphics", "Foundation", "Metal"]);
        const shaders = readFileSync(join(folder, "Shaders/bun_metal.metal"), "utf8");
        expect(shaders).toContain("kernel void");
        expect(shaders).not.toMatch(/^\s*#\s*include\s*"/m);
      });

      test("links into an application that imports the module, with symbols that its systems have", () => {
        for (const architecture of platform.architectures) {
          const image = readMachO(linkApplication(platform, architecture));
          expect([image.platform, image.minimum]).toEqual([platform.name, platform.minimum]);
          expect(exportedSymbols(image)).toEqual([...declaredFunctions(), "_application"].sort());
          const allowed = readAllowed(table, `${architecture}-${platform.name}`);
          const faults = image.imports
            .map((each) => importFault(each, allowed))
            .filter((f) => f !== undefined);
          if (isCrossBuilt) expect(faults).toEqual([]);
          expect(image.libraries.map((l) => l.installName)).toContain(
            platform.name === "macos"
              ? "/System/Library/Frameworks/Metal.framework/Versions/A/Metal"
              : "/System/Library/Frameworks/Metal.framework/Metal",
          );
        }
      });

      test("agrees with the numbers that our headers promise", () => {
        const strict = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"];
        for (const architecture of platform.architectures)
          compile(platform, architecture, [...strict, "test/apple/darwin_facts.m"]);
      });
    });
  }
});

/** Links an application that uses everything: it imports the module, which says what is to be linked. */
function linkApplication(platform: Platform, architecture: string): Uint8Array {
  const folder = join(framework, platform.folder);
  const source = join(scratch, "application.m");
  const output = join(scratch, `${architecture}-${platform.name}`);
  writeFileSync(source, "@import BunMetal;\nunsigned application(void) { return bm_abi_version(); }\n");
  compile(platform, architecture, [
    ...[
      "-fmodules",
      `-fmodules-cache-path=${join(scratch, "modules")}`,
      "-I",
      join(folder, "Headers"),
      source,
    ],
    ...[
      "-dynamiclib",
      "-Wl,-all_load",
      join(folder, "libBunMetal.a"),
      "-lobjc",
      "-framework",
      "CoreFoundation",
    ],
    ...["-o", output],
  ]);
  return readFileSync(output);
}

describe("the build", () => {
  const copy = join(scratch, "another-place/bun-metal");

  test("leaves no path of the building machine in any artifact", () => {
    const compiler = Bun.which("clang-19") ?? "/usr/bin/clang";
    for (const name of artifacts()) {
      const bytes = readFileSync(join(dist, name));
      for (const path of [ROOT, homedir(), tmpdir(), compiler, "/usr/lib/llvm", "/Users/"])
        expect([name, path, bytes.includes(path)]).toEqual([name, path, false]);
    }
  });

  test("gives the same bytes in another directory", () => {
    copySources(copy);
    make(copy, ["dist-apple", "apple-stubs", "DIST=elsewhere"]);
    const differing = artifacts().filter(
      (name) => !readFileSync(join(dist, name)).equals(readFileSync(join(copy, "elsewhere", name))),
    );
    expect(differing).toEqual([]);
    expect(filesBelow(join(copy, "elsewhere")).length).toBe(artifacts().length);
  }, 300_000);

  test("stamps no time on the members of a static library", () => {
    const dates = platforms
      .flatMap(librarySlices)
      .flatMap(({ bytes }) => membersOf(bytes).map((m) => m.date));
    expect(dates.filter((date) => date !== "0")).toEqual([]);
  });

  test("skips the compilation of shaders where there is no Xcode, and knows its platforms", () => {
    if (isCrossBuilt) {
      expect(make(ROOT, ["metallib", "PLATFORM=ios"])).toContain("compiled from source at run time");
      expect(existsSync(join(dist, "ios/shaders.metallib"))).toBe(false);
    }
    const { status, output } = runMake(ROOT, ["metallib", "PLATFORM=watchos"]);
    expect(status).not.toBe(0);
    expect(output).toContain(
      'there is no platform "watchos"; there are: macos ios ios-simulator tvos tvos-simulator',
    );
  });

  test("compiles the shaders where Xcode is, and puts them into the dylib", () => {
    if (!isCrossBuilt) return console.log("Xcode itself is here: no stand-in is needed");
    const xcode = join(scratch, "xcode");
    makeStandInForXcode(xcode);
    make(copy, ["metallib", "PLATFORM=ios", "OS=darwin"], xcode);
    const compiled = readFileSync(join(copy, "dist/ios/shaders.metallib"), "utf8");
    expect(compiled).toMatch(
      /^MTLB build\/apple\/ios\/shaders\/\w+\.metal\.air .* -o dist\/ios\/shaders\.metallib\n$/,
    );
    const calls = readFileSync(join(copy, "xcrun.log"), "utf8");
    expect(calls).toMatch(
      /^xcrun -sdk iphoneos metal -std=metal3\.0 -mios-version-min=16\.0 .* -c shaders\//m,
    );

    // All is built but what depends on one source and on the shaders.
    const now = new Date();
    utimesSync(join(copy, "bridge/error.m"), now, now);
    make(copy, ["dist-apple", "OS=darwin"], xcode);
    const allCalls = readFileSync(join(copy, "xcrun.log"), "utf8");
    expect(allCalls).toContain("xcrun -sdk appletvsimulator clang -target x86_64-apple-tvos15.0-simulator");
    expect(allCalls).toContain("codesign --force --sign - dist/darwin/bun-metal.dylib");
    const slices = slicesOf(readFileSync(join(copy, "dist/darwin/bun-metal.dylib")));
    expect(slices.length).toBe(2);
    const macos = readFileSync(join(copy, "dist/macos/shaders.metallib"));
    for (const { bytes } of slices) expect(Buffer.from(bytes).includes(macos)).toBe(true);
    for (const { name, folder } of PLATFORMS) {
      const inFramework = (file: string) => join("BunMetal.xcframework", folder, file);
      const metallib = readFileSync(join(copy, "dist", inFramework("Shaders/shaders.metallib")));
      expect(metallib.equals(readFileSync(join(copy, "dist", name, "shaders.metallib")))).toBe(true);
      const library = readFileSync(join(copy, "dist", inFramework("libBunMetal.a")));
      expect(library.equals(readFileSync(join(dist, inFramework("libBunMetal.a"))))).toBe(true);
    }
  }, 300_000);
});
