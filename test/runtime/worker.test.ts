// Workers: the native library is the process's, what JavaScript holds of it is each Worker's own.

import { describe, expect, test } from "bun:test";
import { Worker } from "node:worker_threads";
import { Device } from "../../src/runtime/index.ts";
import { checkLeaks, nativeLife, settledLeaks } from "./leaks.ts";
import type { WorkerReport } from "./queue_worker.ts";

const { Worker: GlobalWorker } = globalThis;

function start(additions: number, exitInFlight = false): Worker {
  const worker = new Worker(new URL("./queue_worker.ts", import.meta.url));
  worker.postMessage({ additions, exitInFlight });
  return worker;
}

function ended(worker: Worker): Promise<void> {
  return new Promise((resolve) => worker.once("exit", () => resolve()));
}

describe("Worker", () => {
  test("Workers submit at the same time, each on a device of its own, and end", async () => {
    const workers = Array.from({ length: 3 }, () => start(200));
    const ends = workers.map(ended);
    const reports = await Promise.all(
      workers.map(
        (worker) =>
          new Promise<WorkerReport>((resolve, reject) => {
            worker.once("message", resolve);
            worker.once("error", reject);
          }),
      ),
    );
    expect(reports.map(({ sum }) => sum)).toEqual([200, 200, 200]);
    await Promise.all(ends);
  });

  test("a Worker that exits while its work is in flight leaves nothing behind", async () => {
    const before = Device.liveHandles();
    await ended(start(200, true));
    expect(Device.liveHandles()).toEqual(before);
    using device = Device.open();
    using buffer = device.buffer(16);
    buffer.fill(1);
    expect(buffer.bytes()[15]).toBe(1);
  });
});

describe("the global Worker", () => {
  test("a Worker that exits while its work is in flight leaves nothing behind", async () => {
    const before = nativeLife();
    const worker = new GlobalWorker(new URL("./queue_worker.ts", import.meta.url).href, { type: "module" });
    const submitted = new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = ({ message }) => reject(new Error(message));
    });
    worker.postMessage({ additions: 200, exitInFlight: true });
    await submitted;
    // Not every runtime tells of its end.
    expect(await settledLeaks(before)).toEqual([]);
  });
});

checkLeaks();
