// The code signature of a Mach-O image, checked as the kernel checks it before a page of the image may run: each page's
// hash against the code directory. An ad-hoc signature has nothing else: no certificate, no requirement.
import { createHash } from "node:crypto";
import type { MachO } from "./mach_o.ts";

const SUPER_BLOB = 0xfade0cc0;
const CODE_DIRECTORY = 0xfade0c02;
const SLOT_CODE_DIRECTORY = 0;
const FLAG_ADHOC = 0x2;
const HASH_SHA256 = 2;

export type CodeDirectory = {
  readonly identifier: string;
  readonly isAdhoc: boolean;
  /** Bytes of the file that the hashes cover: all before the signature. */
  readonly codeLimit: number;
  readonly pageSize: number;
  readonly hashes: readonly string[];
  /** Bytes of the segment that may run. */
  readonly executableLimit: number;
};

/** What is wrong with the signature of an image, or undefined where its pages may run. */
export function signatureFault(bytes: Uint8Array, image: MachO): string | undefined {
  const { signature } = image;
  if (signature === undefined) return "The image is not signed";
  const directory = readCodeDirectory(bytes.subarray(signature.offset, signature.offset + signature.size));
  if (typeof directory === "string") return directory;
  if (signature.offset + signature.size !== bytes.length) return "The signature is not the end of the image";
  if (directory.codeLimit !== signature.offset) return "The hashes do not cover all before the signature";
  if (directory.executableLimit !== image.text.size) return "The executable segment is not the image's";
  if (!directory.isAdhoc) return "The signature is not an ad-hoc one";
  const pages = Math.ceil(directory.codeLimit / directory.pageSize);
  if (directory.hashes.length !== pages)
    return `There are hashes of "${directory.hashes.length}" pages, not of "${pages}"`;
  const wrong = directory.hashes.findIndex((expected, page) => {
    const start = page * directory.pageSize;
    const end = Math.min(start + directory.pageSize, directory.codeLimit);
    return createHash("sha256").update(bytes.subarray(start, end)).digest("hex") !== expected;
  });
  return wrong === -1 ? undefined : `The hash of page "${wrong}" is wrong`;
}

/** The identifier that the image is signed with. */
export function signedIdentifier(bytes: Uint8Array, image: MachO): string | undefined {
  if (image.signature === undefined) return undefined;
  const directory = readCodeDirectory(bytes.subarray(image.signature.offset));
  return typeof directory === "string" ? undefined : directory.identifier;
}

/** The code directory of an embedded signature (all big-endian), or what is wrong with it. */
function readCodeDirectory(signature: Uint8Array): CodeDirectory | string {
  const data = new DataView(signature.buffer, signature.byteOffset, signature.byteLength);
  if (data.getUint32(0) !== SUPER_BLOB) return "The signature is not an embedded one";
  let start: number | undefined;
  for (let i = 0; i < data.getUint32(8); i++)
    if (data.getUint32(12 + 8 * i) === SLOT_CODE_DIRECTORY) start = data.getUint32(16 + 8 * i);
  if (start === undefined || data.getUint32(start) !== CODE_DIRECTORY) return "There is no code directory";
  const directory = start;
  const version = data.getUint32(directory + 8);
  if (version < 0x20400) return `The code directory has the old version "${version.toString(16)}"`;
  const hashSize = data.getUint8(directory + 36);
  if (data.getUint8(directory + 37) !== HASH_SHA256 || hashSize !== 32) return "The hashes are not SHA-256";
  const identifier = directory + data.getUint32(directory + 20);
  const firstHash = directory + data.getUint32(directory + 16);
  return {
    identifier: Buffer.from(signature.subarray(identifier, signature.indexOf(0, identifier))).toString(),
    isAdhoc: (data.getUint32(directory + 12) & FLAG_ADHOC) !== 0,
    codeLimit: data.getUint32(directory + 32),
    pageSize: 2 ** data.getUint8(directory + 39),
    hashes: Array.from({ length: data.getUint32(directory + 28) }, (_, i) =>
      Buffer.from(signature.subarray(firstHash + i * hashSize, firstHash + (i + 1) * hashSize)).toString(
        "hex",
      ),
    ),
    executableLimit: Number(data.getBigUint64(directory + 72)),
  };
}
