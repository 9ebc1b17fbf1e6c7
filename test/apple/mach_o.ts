// Mach-O files, read as the linker and dyld read them: slices of universal files, what an image loads, imports and
// exports, and the symbols of object files. Only what the artifacts' tests ask for; anything unknown throws.

const FAT_MAGIC = 0xcafebabe; // big-endian, as all of a universal file's header
const MACH_MAGIC_64 = 0xfeedfacf;

const ARCHITECTURES: ReadonlyMap<number, string> = new Map([
  [0x01000007, "x86_64"],
  [0x0100000c, "arm64"],
]);

/** LC_BUILD_VERSION's platforms, by the names that the Makefile has for them. */
const PLATFORMS: ReadonlyMap<number, string> = new Map([
  [1, "macos"],
  [2, "ios"],
  [3, "tvos"],
  [7, "ios-simulator"],
  [8, "tvos-simulator"],
]);

const LC_SYMTAB = 0x2;
const LC_LOAD_DYLIB = 0xc;
const LC_ID_DYLIB = 0xd;
const LC_LOAD_WEAK_DYLIB = 0x80000018;
const LC_SEGMENT_64 = 0x19;
const LC_CODE_SIGNATURE = 0x1d;
const LC_BUILD_VERSION = 0x32;
const LC_DYLD_EXPORTS_TRIE = 0x80000033;
const LC_DYLD_CHAINED_FIXUPS = 0x80000034;

export type Slice = { readonly architecture: string; readonly bytes: Uint8Array };

export type LoadedLibrary = { readonly installName: string; readonly compatibility: number };

export type Import = { readonly symbol: string; readonly library: string; readonly isWeak: boolean };

export type Export = { readonly symbol: string; readonly offset: number };

export type Range = { readonly offset: number; readonly size: number };

export type MachO = {
  readonly architecture: string;
  /** 1 for an object file, 6 for a dylib. */
  readonly fileType: number;
  readonly platform: string;
  /** The oldest system, as "13.0". */
  readonly minimum: string;
  readonly installName: string | undefined;
  readonly libraries: readonly LoadedLibrary[];
  /** What dyld binds at load; empty for an object file. */
  readonly imports: readonly Import[];
  /** What dyld offers to others, with its place in the image; empty for an object file. */
  readonly exports: readonly Export[];
  /** Symbols that the file defines and the linker shows outside of it. */
  readonly visibleSymbols: readonly string[];
  readonly signature: Range | undefined;
  /** Where the first segment, __TEXT, lies in the file. */
  readonly text: Range;
};

/** Whether the bytes begin a universal file. */
export function isUniversal(file: Uint8Array): boolean {
  return view(file).getUint32(0) === FAT_MAGIC;
}

/** The slices of a universal file. */
export function slicesOf(file: Uint8Array): Slice[] {
  const data = view(file);
  if (!isUniversal(file)) throw new Error("The file is not universal");
  return Array.from({ length: data.getUint32(4) }, (_, i) => {
    const entry = 8 + 20 * i;
    const offset = data.getUint32(entry + 8);
    const alignment = 2 ** data.getUint32(entry + 16);
    if (offset % alignment !== 0) throw new Error(`Slice "${i}" is not aligned to "${alignment}" bytes`);
    return {
      architecture: architectureOf(data.getUint32(entry)),
      bytes: file.subarray(offset, offset + data.getUint32(entry + 12)),
    };
  });
}

/** Reads an image or an object file. */
export function readMachO(bytes: Uint8Array): MachO {
  const data = view(bytes);
  if (data.getUint32(0, true) !== MACH_MAGIC_64) throw new Error("The file is not a 64-bit Mach-O file");
  let platform = "";
  let minimum = "";
  let installName: string | undefined;
  let signature: Range | undefined;
  let text: Range | undefined;
  let fixups: Range | undefined;
  let trie: Range | undefined;
  let visibleSymbols: string[] = [];
  const libraries: LoadedLibrary[] = [];
  let command = 32;
  for (let i = data.getUint32(16, true); i > 0; i--) {
    const at = command;
    const range = (): Range => ({
      offset: data.getUint32(at + 8, true),
      size: data.getUint32(at + 12, true),
    });
    const name = (): string => stringAt(bytes, at + data.getUint32(at + 8, true));
    switch (data.getUint32(at, true)) {
      case LC_BUILD_VERSION:
        platform = PLATFORMS.get(data.getUint32(at + 8, true)) ?? `platform ${data.getUint32(at + 8, true)}`;
        minimum = versionText(data.getUint32(at + 12, true));
        break;
      case LC_ID_DYLIB:
        installName = name();
        break;
      case LC_LOAD_DYLIB:
      case LC_LOAD_WEAK_DYLIB:
        libraries.push({ installName: name(), compatibility: data.getUint32(at + 20, true) >>> 16 });
        break;
      case LC_SEGMENT_64:
        text ??= {
          offset: Number(data.getBigUint64(at + 40, true)),
          size: Number(data.getBigUint64(at + 48, true)),
        };
        break;
      case LC_SYMTAB:
        visibleSymbols = readVisibleSymbols(bytes, at);
        break;
      case LC_CODE_SIGNATURE:
        signature = range();
        break;
      case LC_DYLD_CHAINED_FIXUPS:
        fixups = range();
        break;
      case LC_DYLD_EXPORTS_TRIE:
        trie = range();
        break;
    }
    command += data.getUint32(at + 4, true);
  }
  return {
    architecture: architectureOf(data.getUint32(4, true)),
    fileType: data.getUint32(12, true),
    platform,
    minimum,
    installName,
    libraries,
    imports: fixups === undefined ? [] : readImports(bytes, fixups, libraries),
    exports: trie === undefined ? [] : readTrie(bytes.subarray(trie.offset, trie.offset + trie.size)),
    visibleSymbols,
    signature,
    text: text ?? { offset: 0, size: 0 },
  };
}

/** The members of a static library for one architecture, its table of symbols aside. */
export function membersOf(archive: Uint8Array): { name: string; date: string; bytes: Uint8Array }[] {
  const field = (at: number, length: number) => latin(archive.subarray(at, at + length)).trimEnd();
  if (field(0, 8) !== "!<arch>") throw new Error("The file is not an archive");
  const members = [];
  for (let at = 8; at < archive.length; ) {
    const size = Number(field(at + 48, 10));
    // A long name stands before the contents, and its length in place of the name.
    const nameLength = Number(/^#1\/(\d+)$/.exec(field(at, 16))?.[1] ?? 0);
    const name = nameLength > 0 ? stringAt(archive, at + 60) : field(at, 16);
    const bytes = archive.subarray(at + 60 + nameLength, at + 60 + size);
    if (!name.startsWith("__.SYMDEF")) members.push({ name, date: field(at + 16, 12), bytes });
    at += 60 + size + (size % 2);
  }
  return members;
}

function readVisibleSymbols(bytes: Uint8Array, command: number): string[] {
  const data = view(bytes);
  const strings = data.getUint32(command + 16, true);
  const visible: string[] = [];
  for (let i = 0; i < data.getUint32(command + 12, true); i++) {
    const entry = data.getUint32(command + 8, true) + 16 * i;
    const type = bytes[entry + 4];
    const isExternal = (type & 0x01) !== 0;
    const isHidden = (type & 0x10) !== 0; // private external: seen by this link only
    const isDefined = (type & 0x0e) !== 0;
    const isDebugging = (type & 0xe0) !== 0;
    if (isExternal && isDefined && !isHidden && !isDebugging)
      visible.push(stringAt(bytes, strings + data.getUint32(entry, true)));
  }
  return visible;
}

/** The imports of LC_DYLD_CHAINED_FIXUPS: ordinal of the library (8 bits), weak (1), offset of the name (23). */
function readImports(bytes: Uint8Array, range: Range, libraries: readonly LoadedLibrary[]): Import[] {
  const data = view(bytes);
  const imports = range.offset + data.getUint32(range.offset + 8, true);
  const names = range.offset + data.getUint32(range.offset + 12, true);
  const format = data.getUint32(range.offset + 20, true);
  if (format !== 1) throw new Error(`Chained imports have the unknown format "${format}"`);
  return Array.from({ length: data.getUint32(range.offset + 16, true) }, (_, i) => {
    const word = data.getUint32(imports + 4 * i, true);
    const ordinal = word & 0xff;
    return {
      symbol: stringAt(bytes, names + (word >>> 9)),
      library: libraries[ordinal - 1]?.installName ?? `library "${ordinal}"`,
      isWeak: (word & 0x100) !== 0,
    };
  });
}

/** An exports trie: each node holds an entry (flags, offset), then its children as rest of the name and node. */
function readTrie(trie: Uint8Array): Export[] {
  const exports: Export[] = [];
  const visit = (node: number, prefix: string): void => {
    const entry = readUleb(trie, node);
    if (entry.value > 0)
      exports.push({ symbol: prefix, offset: readUleb(trie, readUleb(trie, entry.next).next).value });
    let at = entry.next + entry.value;
    for (let children = trie[at++]; children > 0; children--) {
      const part = stringAt(trie, at);
      const child = readUleb(trie, at + part.length + 1);
      at = child.next;
      visit(child.value, prefix + part);
    }
  };
  if (trie.length > 0) visit(0, "");
  return exports;
}

function readUleb(bytes: Uint8Array, start: number): { value: number; next: number } {
  let value = 0;
  let at = start;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, next: at };
  }
}

function architectureOf(type: number): string {
  return ARCHITECTURES.get(type) ?? `processor ${type}`;
}

/** Nibbles xxxx.yy.zz; the last part is left out where it is 0. */
function versionText(version: number): string {
  const patch = version & 0xff;
  return `${version >>> 16}.${(version >>> 8) & 0xff}${patch > 0 ? `.${patch}` : ""}`;
}

function stringAt(bytes: Uint8Array, start: number): string {
  return latin(bytes.subarray(start, bytes.indexOf(0, start)));
}

function latin(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
