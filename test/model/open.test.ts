// Plans that are damaged, foreign or hostile are refused with a reason, whatever is wrong with them.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { tinyModel } from "../llama/tiny_model.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { Bundle } from "./models.ts";
import { type Failure, type Live, Session } from "./session.ts";

const HEADER_BYTES = 56;
const SECTION_BYTES = 24;
const DIGEST_AT = 16;

const bundle = new Bundle();
const session = new Session();
const model = bundle.write("tiny.gguf", tinyModel());
bundle.export(model, "good.bmplan", { contextLength: 64, batchSize: 16 });
const good: Buffer = readFileSync(join(bundle.path, "good.bmplan"));
let before: Live;

beforeAll(async () => {
  await session.open(bundle.path, "good.bmplan");
  await session.expect("close");
  before = await session.live();
});

afterAll(async () => {
  await session[Symbol.asyncDispose]();
  bundle[Symbol.dispose]();
});

/** Where a section lies. */
function section(kind: number): { offset: number; length: number } {
  const at = HEADER_BYTES + (kind - 1) * SECTION_BYTES;
  return { offset: Number(good.readBigUInt64LE(at + 8)), length: Number(good.readBigUInt64LE(at + 16)) };
}

const MODEL = section(1).offset;
const KERNELS = section(2).offset;
const BUFFERS = section(3).offset;
const PROGRAMS = section(5).offset;
const TOKENIZER = section(6).offset;

/** Makes the digest right again, so that what is behind it is looked at. */
function signed(bytes: Buffer): Buffer {
  bytes.set(
    createHash("sha256")
      .update(bytes.subarray(DIGEST_AT + 32))
      .digest(),
    DIGEST_AT,
  );
  return bytes;
}

async function openBytes(bytes: Uint8Array): Promise<Failure | undefined> {
  writeFileSync(join(bundle.path, "bad.bmplan"), bytes);
  const failure = await session.refusal(bundle.path, "bad.bmplan");
  if (failure === undefined) await session.expect("close");
  return failure;
}

/** The good plan with a word changed. */
function withWord(at: number, value: number): Buffer {
  const bytes = Buffer.from(good);
  bytes.writeUInt32LE(value, at);
  return signed(bytes);
}

describe("bm_model_open", () => {
  test("refuses a file that is cut off anywhere, or longer than it says", async () => {
    const ends = [0, 3, 15, HEADER_BYTES, HEADER_BYTES + 6 * SECTION_BYTES, good.length - 1];
    for (let kind = 1; kind <= 6; kind++) {
      const { offset, length } = section(kind);
      ends.push(offset, offset + 1, offset + length - 1, offset + length);
    }
    for (const end of ends.filter((end) => end < good.length)) {
      const failure = await openBytes(good.subarray(0, end));
      expect(failure?.error, `${end} bytes`).toBe(2);
      expect(failure?.message).toMatch(/it is no plan|copy it again/);
    }
    expect((await openBytes(Buffer.concat([good, Buffer.alloc(8)])))?.message).toContain("copy it again");
  });

  test("refuses a file in which any bit is wrong", async () => {
    const random = mulberry32(1);
    for (let round = 0; round < 200; round++) {
      const at = round < 64 ? round : randomInteger(random, good.length);
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] as number) ^ (1 << randomInteger(random, 8));
      expect((await openBytes(bytes))?.error, `byte ${at}`).toBeGreaterThan(0);
    }
  });

  const absurd: readonly [what: string, at: number, value: number, message: RegExp][] = [
    ["magic", 0, 7, /it is no plan/],
    ["version", 4, 99, /version "99"/],
    ["section count", 48, 0xffffffff, /number of sections/],
    ["section kind", HEADER_BYTES, 9, /unknown kind/],
    ["section twice", HEADER_BYTES, 2, /unknown kind, or one twice/],
    ["section offset", HEADER_BYTES + 8, 0xfffffff0, /outside of the file/],
    ["section within the header", HEADER_BYTES + 8, 0, /outside of the file/],
    ["section length", HEADER_BYTES + 20, 0xffffffff, /outside of the file/],
    ["ABI version", MODEL, 77, /version "77" of the library/],
    ["vocabulary", MODEL + 4, 0xffffffff, /vocabulary is absurd/],
    ["other vocabulary", MODEL + 4, 258, /number of tokens is not the model's/],
    ["context", MODEL + 8, 0xffffffff, /context length is absurd/],
    ["longer context", MODEL + 8, 65, /no room for its context/],
    ["rows", MODEL + 12, 17, /for other rows/],
    ["block size", MODEL + 16, 0, /no room for its context/],
    ["blocks", MODEL + 20, 0xffffffff, /no room for its context/],
    ["SIMD width", MODEL + 28, 64, /in groups of "64"/],
    ["model length", MODEL + 32, 5, /lengths are absurd/],
    ["header length", MODEL + 40, 64, /other metadata or tensors/],
    ["header digest", MODEL + 48, 64, /other metadata or tensors/],
    ["shaders", MODEL + 80, 64, /other shaders/],
    ["name's length", MODEL + 112, 0xffffffff, /name of its model file/],
    ["name's letters", MODEL + 116, 0x2f2e2e2f, /leads out of its directory/],
    ["kernel count", KERNELS, 0xffffffff, /number of kernels/],
    ["more kernels", KERNELS, 200, /name of a kernel/],
    ["kernel threads", KERNELS + 4, 99999, /needs "99999"/],
    ["kernel name", KERNELS + 12, 0x21212121, /has no function "!!!!/],
    ["buffer count", BUFFERS, 0xffffffff, /number of buffers/],
    ["buffer role", BUFFERS + 8, 6, /unknown role/],
    ["no logits", BUFFERS + 8 + 3 * 24, 3, /no buffer for logits/],
    ["weights outside", BUFFERS + 20, 1, /outside of what it shows/],
    ["weights not at a page", BUFFERS + 16, 64, /outside of what it shows|export it with this page size/],
    ["program count", PROGRAMS, 0xffffffff, /number of programs/],
    ["program rows", PROGRAMS + 4, 0, /for other rows|not in order|do not fit/],
    ["dynamic words", PROGRAMS + 8, 3, /do not fit it/],
    ["tokens' words", PROGRAMS + 16, 0xffffffff, /do not fit it/],
    ["block table's words", PROGRAMS + 32, 0xfffffffe, /do not fit it/],
    ["derived count", PROGRAMS + 44, 0xffffffff, /ends within its programs/],
    ["program length", PROGRAMS + 52, 0xffffffff, /ends within its programs/],
    ["tokenizer", TOKENIZER, 5, /algorithm is unknown/],
    ["begin token", TOKENIZER + 8, 300, /begin or end token/],
    ["merges", TOKENIZER + 28, 0xffffffff, /ends within its tables/],
    ["extra symbols", TOKENIZER + 32, 0xffffffff, /number of tokens|ends within its tables/],
    ["expressions", TOKENIZER + 36, 0xffffffff, /too many expressions/],
    ["piece offset", TOKENIZER + 44, 0xffffffff, /texts lie outside/],
  ];
  for (const [what, at, value, message] of absurd) {
    test(`refuses an absurd ${what}`, async () => {
      const failure = await openBytes(withWord(at, value));
      expect(failure?.message).toMatch(message);
    });
  }

  test("survives thousands of plans that are wrong behind a right digest", async () => {
    const seed = 20250101;
    const random = mulberry32(seed);
    const values = [0, 1, 2, 31, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x10000, good.length];
    const messages = new Set<string>();
    for (let round = 0; round < 2500; round++) {
      const bytes = Buffer.from(good);
      for (let changes = 1 + randomInteger(random, 3); changes > 0; changes--) {
        // Mostly where structure is: the data, the texts and the end of the programs are long.
        const start = [48, MODEL, KERNELS, BUFFERS, PROGRAMS, TOKENIZER][randomInteger(random, 6)] as number;
        const reach = randomInteger(random, 4) === 0 ? 16000 : 200;
        const at = Math.min(start + 4 * randomInteger(random, reach / 4), good.length - 4);
        const isFlip = randomInteger(random, 2) === 0;
        const old = bytes.readUInt32LE(at);
        const flipped = (old ^ (1 << randomInteger(random, 32))) >>> 0;
        bytes.writeUInt32LE(isFlip ? flipped : (values[randomInteger(random, values.length)] as number), at);
      }
      const failure = await openBytes(signed(bytes));
      if (failure !== undefined) {
        expect(failure.message.length, `seed ${seed}, round ${round}`).toBeGreaterThan(10);
        messages.add(failure.message.replace(/"[^"]*"/g, "?"));
      }
    }
    expect(messages.size).toBeGreaterThan(25);
    const { objects, ...live } = await session.settled(before.objects);
    expect(live).toMatchObject({
      handles: 0,
      bytes: before.bytes,
      inFlight: 0,
      withoutPool: before.withoutPool,
    });
    expect(objects).toBeLessThanOrEqual(before.objects);
  }, 60_000);

  test("refuses weights that are missing, or those of another model", async () => {
    const other = bundle.write("other.gguf", tinyModel({ seed: 2, headLength: 8 }));
    const sameLength = Buffer.from(readFileSync(model));
    sameLength.write("LLAMA", sameLength.indexOf("llama"));
    const original = readFileSync(model);
    const open = () => session.refusal(bundle.path, "good.bmplan");

    renameSync(model, `${model}.gone`);
    expect(await open()).toMatchObject({ error: 6, message: expect.stringContaining("tiny.gguf") });
    copyFileSync(other, model);
    expect((await open())?.message).toMatch(/has "\d+" bytes, but the plan was exported from one of "\d+"/);
    writeFileSync(model, sameLength);
    expect((await open())?.message).toContain("other metadata or tensors");
    writeFileSync(model, original);
    truncateSync(model, original.length - 1);
    expect((await open())?.message).toContain("copy its model beside it");
    rmSync(model);
    mkdirSync(model);
    expect((await open())?.message).toContain("not a regular file");
    rmSync(model, { recursive: true });
    renameSync(`${model}.gone`, model);
    expect(await open()).toBeUndefined();
    await session.expect("close");
  });

  test("opens only what lies in the bundle", async () => {
    mkdirSync(join(bundle.path, "inner/deep"), { recursive: true });
    for (const plan of ["../good.bmplan", "inner/../good.bmplan", "/etc/passwd", "..", "inner/.."]) {
      expect((await session.refusal(join(bundle.path, "inner"), plan))?.message, plan).toContain("leads out");
    }
    expect((await session.refusal(bundle.path, ""))?.message).toContain("leads out");
    expect(await session.refusal(bundle.path, "none.bmplan")).toMatchObject({ error: 6 });
    expect((await session.refusal(bundle.path, "inner"))?.message).toContain("not a regular file");
    // Names with dots are names.
    copyFileSync(join(bundle.path, "good.bmplan"), join(bundle.path, "..good..bmplan"));
    expect(await session.refusal(bundle.path, "..good..bmplan")).toBeUndefined();
    await session.expect("close");
    // The weights are looked for from where the plan lies.
    copyFileSync(join(bundle.path, "good.bmplan"), join(bundle.path, "inner/deep/good.bmplan"));
    expect(await session.refusal(bundle.path, "inner/deep/good.bmplan")).toMatchObject({ error: 6 });
    copyFileSync(model, join(bundle.path, "inner/deep/tiny.gguf"));
    expect(await session.refusal(bundle.path, "inner/deep/good.bmplan")).toBeUndefined();
    await session.expect("close");
  });
});
