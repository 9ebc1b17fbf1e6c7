// Buffers: making, reading, writing, viewing, and what happens to views afterwards.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BridgeError, Device, type MapOptions, ReleasedError } from "../../src/runtime/index.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { checkLeaks } from "./leaks.ts";

let device: Device;
let directory: string;

beforeAll(() => {
  device = Device.open();
  directory = mkdtempSync(join(tmpdir(), "bun-metal-buffer-"));
});
afterAll(() => {
  device.dispose();
  rmSync(directory, { recursive: true });
});

function randomBytes(random: () => number, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => randomInteger(random, 256));
}

describe("Buffer", () => {
  test("Buffer of any length starts as zeros where it is shared", () => {
    for (const length of [1, 2, 3, 15, 4095, 4097, 1_000_003]) {
      using buffer = device.buffer(length);
      expect([buffer.byteLength, buffer.storage]).toEqual([length, "shared"]);
      expect(buffer.bytes().every((byte) => byte === 0)).toBe(true);
      expect(buffer.bytes()).toHaveLength(length);
    }
  });

  test("Buffer.upload() and download() move odd ranges, in shared and private buffers", () => {
    const seed = 0x5eed;
    const random = mulberry32(seed);
    for (const storage of ["shared", "private"] as const) {
      using buffer = device.buffer(5003, { storage });
      const expected = new Uint8Array(5003);
      buffer.fill(0);
      for (let round = 0; round < 60; round++) {
        const offset = randomInteger(random, 5003);
        const data = randomBytes(random, randomInteger(random, 5003 - offset));
        buffer.upload(data, offset);
        expected.set(data, offset);
        const from = randomInteger(random, 5003);
        const part = new Uint8Array(randomInteger(random, 5003 - from));
        buffer.download(part, from);
        expect(part, `seed ${seed}, ${storage}, round ${round}`).toEqual(
          expected.slice(from, from + part.length),
        );
      }
    }
  });

  test("Buffer.upload() takes every kind of view, and only the part that it shows", () => {
    using buffer = device.buffer(8);
    const numbers = Float32Array.of(1, 2, 3, 4);
    buffer.upload(numbers.subarray(1, 3));
    expect([...buffer.view(Float32Array)]).toEqual([2, 3]);
    buffer.upload(new DataView(numbers.buffer, 12, 4), 4);
    expect([...buffer.view(Float32Array)]).toEqual([2, 4]);
    const back = new Float32Array(4);
    buffer.download(new DataView(back.buffer, 8, 8));
    expect([...back]).toEqual([0, 0, 2, 4]);
  });

  test("Buffer.fill() sets a range, odd or whole, and leaves the rest", () => {
    for (const storage of ["shared", "private"] as const) {
      using buffer = device.buffer(101, { storage });
      buffer.fill(0xaa);
      buffer.fill(3, 7, 31);
      const bytes = new Uint8Array(101);
      buffer.download(bytes);
      expect([...bytes]).toEqual(Array.from(bytes, (_, i) => (i >= 7 && i < 38 ? 3 : 0xaa)));
    }
  });

  test("Buffer.copyFrom() copies between buffers and within one", () => {
    const data = randomBytes(mulberry32(7), 1000);
    using source = device.bufferFrom(data);
    using target = device.buffer(1000, { storage: "private" });
    target.fill(0);
    target.copyFrom(source, 3, 501, 499);
    target.copyFrom(target, 501, 2, 400);
    const expected = new Uint8Array(1000);
    expected.set(data.subarray(3, 502), 501);
    expected.set(data.subarray(3, 403), 2);
    const bytes = new Uint8Array(1000);
    target.download(bytes);
    expect(bytes).toEqual(expected);
  });

  test("Buffer ranges of nothing are fine inside of the buffer, and refused outside", () => {
    using buffer = device.buffer(10);
    buffer.upload(new Uint8Array(0), 10);
    buffer.download(new Uint8Array(0), 0);
    buffer.fill(1, 10, 0);
    buffer.copyFrom(buffer, 0, 0, 0);
    expect(buffer.bytes(10, 0)).toHaveLength(0);
    for (const offset of [11, -1, Number.NaN]) {
      expect(() => buffer.upload(new Uint8Array(0), offset)).toThrow(RangeError);
    }
    expect([...buffer.bytes()]).toEqual(new Array(10).fill(0));
  });

  test("Buffer.bufferFrom() copies, into shared and private memory", () => {
    const data = Uint32Array.of(1, 2, 3);
    for (const storage of ["shared", "private"] as const) {
      using buffer = device.bufferFrom(data, { storage });
      data[0]++;
      const back = new Uint32Array(3);
      buffer.download(back);
      expect([...back]).toEqual([data[0] - 1, 2, 3]);
    }
  });
});

describe("views", () => {
  test("Buffer.view() is live, typed and bounded", () => {
    using buffer = device.buffer(64);
    const floats = buffer.view(Float32Array, 8, 3);
    floats.set([1, 2, 3]);
    const back = new Float32Array(3);
    buffer.download(back, 8);
    expect([...back]).toEqual([1, 2, 3]);
    buffer.upload(Float32Array.of(9), 12);
    expect(floats[1]).toBe(9);
    expect(buffer.view(Uint16Array)).toHaveLength(32);
    expect(buffer.view(Float64Array, 56)).toHaveLength(1);
    expect(buffer.bytes(60)).toHaveLength(4);
    for (const [offset, length] of [
      [2, 1],
      [0, 17],
      [64, 1],
      [68, 0],
      [-4, 1],
      [0, 1.5],
      [0, 2 ** 53],
    ]) {
      expect(() => buffer.view(Float32Array, offset, length)).toThrow(RangeError);
    }
  });

  test("views are detached when their buffer is disposed", () => {
    const buffer = device.buffer(4096);
    const bytes = buffer.bytes();
    const floats = buffer.view(Float32Array, 16, 4);
    floats.fill(1);
    buffer.dispose();
    expect([bytes.length, floats.length]).toEqual([0, 0]);
    expect(floats[0]).toBeUndefined();
    bytes[0] = 1; // Writes nowhere.
    expect(() => buffer.bytes()).toThrow(ReleasedError);
    using other = device.buffer(64);
    expect(() => other.upload(floats)).toThrow("detached");
  });

  test("views of a transferred ArrayBuffer are made anew", () => {
    using buffer = device.buffer(64);
    buffer.bytes()[0] = 42;
    buffer.bytes().buffer.transfer(0);
    expect(buffer.bytes()[0]).toBe(42);
  });

  test("views of a buffer over 4 GiB reach its end, in windows", () => {
    // Untouched pages of a mapped hole in a file cost no memory.
    const path = join(directory, "large");
    const length = 5 * 2 ** 30 + 8192;
    writeFileSync(path, "");
    truncateSync(path, length);
    using buffer = device.mapFile(path);
    expect(buffer.byteLength).toBe(length);
    const marks = [0, 2 ** 31 - 2, 2 ** 32 - 2, 2 ** 32, length - 4];
    for (const [i, mark] of marks.entries()) buffer.bytes(mark, 4).fill(i + 1);
    for (const [i, mark] of marks.entries()) {
      const back = new Uint8Array(2);
      buffer.download(back, mark + 1);
      expect(back[0], `at ${mark}`).toBe(i + 1);
    }
    expect(buffer.bytes(length - 2 ** 32)).toHaveLength(2 ** 32);
    expect(() => buffer.bytes()).toThrow("at most 4 GiB");
    expect(buffer.view(Uint32Array, length - 4)[0]).toBe(0x05050505);
  });

  test("views of private buffers are refused", () => {
    using buffer = device.buffer(64, { storage: "private" });
    expect(() => buffer.bytes()).toThrow(expect.objectContaining({ code: "unsupported" }));
  });
});

describe("wrapped and mapped memory", () => {
  test("Device.wrap() shares memory with JavaScript", () => {
    const memory = device.alignedMemory(10_000);
    expect(memory.length % device.info.pageSize).toBe(0);
    memory[9999] = 5;
    using buffer = device.wrap(memory);
    expect(buffer.byteLength).toBe(memory.length);
    expect(buffer.bytes()[9999]).toBe(5);
    buffer.fill(7, 0, 3);
    expect([...memory.subarray(0, 4)]).toEqual([7, 7, 7, 0]);
  });

  test("Device.wrap() refuses memory that is not whole pages", () => {
    const memory = device.alignedMemory(2 * device.info.pageSize);
    expect(() => device.wrap(memory.subarray(16))).toThrow("alignedMemory");
    expect(() => device.wrap(memory.subarray(0, 100))).toThrow(BridgeError);
    expect(() => device.wrap(new Uint8Array(0))).toThrow(BridgeError);
  });

  test("Device.mapFile() shows a file's bytes, and keeps writes from it", async () => {
    const path = join(directory, "mapped");
    const { pageSize } = device.info;
    const data = randomBytes(mulberry32(11), 3 * pageSize + 77);
    writeFileSync(path, data);
    using whole = device.mapFile(path);
    expect(whole.bytes()).toEqual(data);
    using part = device.mapFile(path, { offset: pageSize, length: 100 });
    expect(part.bytes()).toEqual(data.slice(pageSize, pageSize + 100));
    using tail = device.mapFile(path, { offset: 3 * pageSize });
    expect(tail.bytes()).toEqual(data.slice(3 * pageSize));
    whole.bytes().fill(0);
    expect(new Uint8Array(readFileSync(path))).toEqual(data);
  });

  test("Device.mapFile() refuses what is no file, and ranges that are not in it", () => {
    const path = join(directory, "short");
    const { pageSize } = device.info;
    writeFileSync(path, new Uint8Array(pageSize + 1));
    const empty = join(directory, "empty");
    writeFileSync(empty, "");
    expect(() => device.mapFile(join(directory, "missing"))).toThrow(
      expect.objectContaining({ code: "not-found" }),
    );
    expect(() => device.mapFile(directory)).toThrow(BridgeError);
    expect(() => device.mapFile(empty)).toThrow(BridgeError);
    const ranges: readonly MapOptions[] = [
      { offset: 1 },
      { offset: 2 * pageSize },
      { offset: 2 ** 53 },
      { offset: -pageSize },
      { length: pageSize + 2 },
      { length: 2 ** 53 },
      { length: -1 },
      { length: Number.NaN },
    ];
    for (const range of ranges) {
      expect(() => device.mapFile(path, range), JSON.stringify(range)).toThrow(BridgeError);
    }
    expect(() => device.mapFile("a\0b")).toThrow(TypeError);
  });
});

checkLeaks();
