// The buffer pool: size classes, reuse, limits, and loans that end.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BridgeError, BufferPool, Device, ReleasedError, sizeClass } from "../../src/runtime/index.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { checkLeaks } from "./leaks.ts";

let device: Device;
beforeAll(() => {
  device = Device.open();
});
afterAll(() => device.dispose());

describe("sizeClass", () => {
  test("sizeClass() has powers of two and the quarter steps between them", () => {
    expect([1, 256, 257, 320, 321, 1024, 1025, 1281].map(sizeClass)).toEqual([
      256, 256, 320, 320, 384, 1024, 1280, 1536,
    ]);
  });

  test("sizeClass() is no smaller, less than a quarter larger, and its own class", () => {
    const random = mulberry32(3);
    for (let i = 0; i < 2000; i++) {
      const length = 1 + Math.floor(2 ** (8 + random() * 40));
      const size = sizeClass(length);
      expect(size).toBeGreaterThanOrEqual(length);
      expect(size).toBeLessThan(1.25 * length + 1);
      expect(sizeClass(size)).toBe(size);
    }
  });
});

describe("BufferPool", () => {
  test("BufferPool lends memory again that came back", () => {
    using pool = new BufferPool(device);
    const first = pool.acquire(1000);
    const { handle } = first;
    expect(first.byteLength).toBe(1024);
    pool.release(first);
    using second = pool.acquire(900);
    expect(second.handle).toBe(handle);
    using third = pool.acquire(900);
    expect(third.handle).not.toBe(handle);
    expect(pool.statistics).toEqual({
      live: 2,
      liveBytes: 2048,
      idle: 0,
      idleBytes: 0,
      highWaterMark: 2048,
      made: 2,
      reused: 1,
    });
  });

  test("BufferPool ends a loan for good when the buffer comes back", () => {
    using pool = new BufferPool(device);
    const first = pool.acquire(1000);
    const bytes = first.bytes();
    first.dispose();
    using second = pool.acquire(1000);
    expect(bytes.length).toBe(0);
    expect(() => first.bytes()).toThrow(ReleasedError);
    expect(() => first.upload(new Uint8Array(4))).toThrow(ReleasedError);
    expect(() => pool.release(first)).toThrow(ReleasedError);
    first.dispose();
    expect([pool.statistics.live, pool.statistics.idle]).toEqual([1, 0]);
    second.bytes().fill(1);
  });

  test("BufferPool refuses buffers that it did not lend", () => {
    using pool = new BufferPool(device);
    using other = new BufferPool(device);
    using plain = device.buffer(256);
    using lent = other.acquire(256);
    expect(() => pool.release(plain)).toThrow(TypeError);
    expect(() => pool.release(lent)).toThrow("did not lend it");
  });

  test("BufferPool.trim() frees what is idle, the largest first", () => {
    using pool = new BufferPool(device);
    for (const buffer of [256, 512, 1024, 2048].map((size) => pool.acquire(size))) buffer.dispose();
    const before = Device.liveHandles().buffer;
    expect(pool.statistics.idleBytes).toBe(3840);
    pool.trim(800);
    expect(pool.statistics).toMatchObject({ idle: 2, idleBytes: 768, highWaterMark: 3840 });
    expect(Device.liveHandles().buffer).toBe(before - 2);
    pool.trim();
    expect(pool.statistics).toMatchObject({ idle: 0, idleBytes: 0 });
    expect(Device.liveHandles().buffer).toBe(before - 4);
  });

  test("BufferPool keeps no more than maxIdleBytes", () => {
    using pool = new BufferPool(device, { maxIdleBytes: 1000, storage: "private" });
    for (const buffer of [256, 512, 1024, 320].map((size) => pool.acquire(size))) {
      expect(buffer.storage).toBe("private");
      buffer.dispose();
    }
    expect(pool.statistics).toMatchObject({ live: 0, idle: 2, idleBytes: 768 });
  });

  test("BufferPool that is disposed frees what comes back", () => {
    const before = Device.liveHandles().buffer;
    const pool = new BufferPool(device);
    const buffer = pool.acquire(100);
    pool.acquire(100).dispose();
    pool.dispose();
    pool.dispose();
    expect(Device.liveHandles().buffer).toBe(before + 1);
    buffer.bytes().fill(1);
    buffer.dispose();
    expect(Device.liveHandles().buffer).toBe(before);
  });

  test("BufferPool.acquire() refuses lengths that no buffer has", () => {
    using pool = new BufferPool(device);
    for (const length of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(() => pool.acquire(length)).toThrow(BridgeError);
    }
    expect(pool.statistics).toMatchObject({ live: 0, idle: 0, made: 0 });
  });

  test("BufferPool keeps its books through random use", () => {
    const seed = 99;
    const random = mulberry32(seed);
    using pool = new BufferPool(device, { maxIdleBytes: 100_000 });
    const lent: ReturnType<BufferPool["acquire"]>[] = [];
    for (let step = 0; step < 3000; step++) {
      if (lent.length > 0 && random() < 0.5) {
        lent.splice(randomInteger(random, lent.length), 1)[0].dispose();
      } else lent.push(pool.acquire(1 + randomInteger(random, 20_000)));
      const { live, liveBytes, idleBytes } = pool.statistics;
      expect(live, `seed ${seed}, step ${step}`).toBe(lent.length);
      expect(liveBytes).toBe(lent.reduce((sum, buffer) => sum + buffer.byteLength, 0));
      expect(idleBytes).toBeLessThanOrEqual(100_000);
    }
    expect(new Set(lent.map((buffer) => buffer.handle)).size).toBe(lent.length);
    for (const buffer of lent) buffer.dispose();
  });
});

checkLeaks();
