// The headers of Metal for Linux against Apple's declarations: what is wrong here compiles, and fails on a Mac.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { compareWithFacts, readTable } from "./facts/facts.ts";
import { readHeaders } from "./facts/headers.ts";

const root = normalize(join(import.meta.dirname, "../../bridge/linux"));

/** Headers that say at their top that Apple has nothing like them, or that are internal to Foundation. */
const ours = new Set([
  "Metal/LinuxChecks.h",
  "Foundation/NSStatistics.h",
  "Foundation/NSCounting.h",
  "Foundation/NSConcreteString.h",
  "Foundation/NSStringFormat.h",
  "Foundation/NSSelectorFilter.h",
  "Foundation/NSUTF8.h",
]);

const names = [...new Bun.Glob("{Foundation,Metal}/*.h").scanSync(root)]
  .filter((name) => !ours.has(name))
  .sort();
const text = names.map((name) => readFileSync(join(root, name), "utf8")).join("\n");

/** Facts of Foundation are its classes, constants and structs; the protocols of Objective-C itself are left out. */
const ofObjectiveC =
  /^(protocol (NSObject|NSCopying|NSMutableCopying|NSFastEnumeration|NSLocking)|class (NSConstantString|NSEnumerator)|struct NSFastEnumerationState) /;

function problemsOf(headers: string): string[] {
  return compareWithFacts(readHeaders(headers)).filter((problem) => !ofObjectiveC.test(problem));
}

describe("headers of Metal for Linux", () => {
  test("declare what Apple declares, with the same values, types and availability", () => {
    expect(problemsOf(text)).toEqual([]);
  });

  test("are read whole", () => {
    const declared = readHeaders(text);
    expect(declared.enumerators.size).toBeGreaterThan(120);
    expect(declared.owners.size).toBeGreaterThan(40);
    const members = [...declared.owners].map(([name, owner]) =>
      name.startsWith("MTL") ? owner.members.size : 0,
    );
    expect(members.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(200);
    expect(readTable("members.tsv").length).toBeGreaterThan(200);
    const missed =
      text.match(/^extern .*\bMTL\w+/gm)?.filter((line) => !/NSErrorDomain|Device/.test(line)) ?? [];
    expect(missed).toEqual([]);
  });

  const wrong: readonly (readonly [string, string | RegExp, string, string])[] = [
    ["a value", "MTLStorageModePrivate = 2", "MTLStorageModePrivate = 3", "MTLStorageModePrivate"],
    [
      "a shifted value",
      "MTLResourceStorageModeShift 4",
      "MTLResourceStorageModeShift 5",
      "MTLResourceStorageModePrivate",
    ],
    [
      "an underlying type",
      "NS_ENUM(NSInteger, MTLGPUFamily)",
      "NS_ENUM(NSUInteger, MTLGPUFamily)",
      "MTLGPUFamilyApple7",
    ],
    [
      "an invented enumerator",
      "MTLDispatchTypeSerial = 0,",
      "MTLDispatchTypeSerial = 0, MTLDispatchTypeAny = 2,",
      "MTLDispatchTypeAny",
    ],
    ["a missing enumerator", "MTLDispatchTypeConcurrent = 1,", "", "MTLDispatchTypeConcurrent"],
    [
      "a struct",
      "uint32_t threadgroupsPerGrid[3]",
      "uint32_t threadgroupsPerGrid[4]",
      "MTLDispatchThreadgroupsIndirectArguments",
    ],
    [
      "a selector",
      "setKernelBuffer:(id<MTLBuffer>)buffer",
      "setBuffer:(id<MTLBuffer>)buffer",
      "setKernelBuffer:offset:atIndex:",
    ],
    ["an argument's type", "value:(uint8_t)value", "value:(uint32_t)value", "fillBuffer:range:value:"],
    ["a result's type", "- (BOOL)supportsFamily:", "- (NSInteger)supportsFamily:", "supportsFamily:"],
    [
      "a property's type",
      "@property (readonly) uint64_t registryID",
      "@property (readonly) NSInteger registryID",
      "registryID",
    ],
    [
      "a writable property",
      "@property (readonly) NSUInteger length;\n/** Where",
      "@property NSUInteger length;\n/** Where",
      "setLength:",
    ],
    ["a getter", "getter=isHeadless", "getter=headless", "isHeadless"],
    [
      "an availability",
      /(newResidencySetWithDescriptor[^;]*)macos\(15\.0\)/,
      "$1macos(14.0)",
      "newResidencySetWithDescriptor:error:",
    ],
    ["a missing availability", /(uint64_t gpuAddress) API_AVAILABLE[^;]*;/, "$1;", "gpuAddress"],
    [
      "a class",
      "@interface MTLResidencySetDescriptor",
      "@interface MTLResidencyDescriptor",
      "MTLResidencyDescriptor",
    ],
    [
      "a protocol's parent",
      "@protocol MTLBuffer <MTLResource>",
      "@protocol MTLBuffer <NSObject>",
      "MTLBuffer inherits",
    ],
    [
      "a method of Foundation",
      "stringWithUTF8String:(const char *)text;",
      "stringWithUTF8:(const char *)text;",
      "+stringWithUTF8String:",
    ],
    [
      "a function",
      "MTLCreateSystemDefaultDevice(void)",
      "MTLCreateDefaultDevice(void)",
      "MTLCreateDefaultDevice",
    ],
  ];
  for (const [what, right, mistake, named] of wrong) {
    test(`a mistake is found: ${what}`, () => {
      const changed = text.replace(right, mistake);
      expect(changed).not.toBe(text);
      const problems = problemsOf(changed);
      expect(problems.join("\n")).toContain(named);
    });
  }
});
