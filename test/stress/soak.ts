/**
 * The stress run, as a process of its own, so that no other test's memory is in its numbers.
 *
 *   bun run test/stress/soak.ts [scale]
 *
 * Warms up, measures, works, measures again, and prints a `SoakReport` as JSON. `scale` shrinks the work.
 */
import { Device } from "../../src/runtime/index.ts";
import { leaksBetween, type NativeLife, nativeLife, settledLeaks, warmUp } from "../runtime/leaks.ts";
import { churn, crowd, runs } from "./churn.ts";
import type { Order } from "./soak_worker.ts";

/** What was done, and what was left behind. */
export interface SoakReport {
  readonly threads: number;
  readonly aliveAtOnce: number;
  readonly created: number;
  readonly programRuns: number;
  /** What lives too much after the work, compared with after the warm-up. */
  readonly leaks: string[];
  /** What lives too much when all devices are closed, compared with before the first was opened. */
  readonly leaksAtEnd: string[];
  /** Resident bytes after the warm-up, and after the work. */
  readonly residentBefore: number;
  readonly residentAfter: number;
  readonly seconds: number;
}

const workerCount = 4;

function ask(worker: Worker, order: Order): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(order);
  });
}

/**
 * Collects garbage everywhere, so that only what is held counts, and reads resident bytes: the least of some readings,
 * because allocators give freed pages back when they like.
 */
async function residentBytes(workers: readonly Worker[]): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let reading = 0; reading < 8; reading++) {
    for (const worker of workers) await ask(worker, { order: "collect" });
    Bun.gc(true);
    await Bun.sleep(50);
    least = Math.min(least, process.memoryUsage.rss());
  }
  return least;
}

async function soak(scale: number): Promise<SoakReport> {
  const start = performance.now();
  warmUp();
  const beforeAll = nativeLife();
  const device = Device.open();
  const workers = Array.from(
    { length: workerCount },
    () => new Worker(new URL("./soak_worker.ts", import.meta.url).href),
  );
  const threads = workerCount + 1;

  const work = async (creations: number, programRuns: number, seed: number) => {
    const aliveAtOnce = crowd(device, Math.ceil(10_000 * scale));
    const perThread = Math.ceil(creations / threads);
    const others = workers.map((worker, i) =>
      ask(worker, { order: "churn", creations: perThread, seed: seed + i }),
    );
    // In parts, so that this thread's event loop turns while the Workers are at it.
    const parts = 20;
    for (let part = 0; part < parts; part++) {
      churn(device, Math.ceil(perThread / parts), seed + 100 + part);
      await Bun.sleep(0);
    }
    const during = await runs(device, Math.ceil(programRuns / 2));
    await Promise.all(others);
    const after = await runs(device, Math.floor(programRuns / 2));
    return { aliveAtOnce, created: perThread * threads, programRuns: during + after };
  };

  await work(200_000 * scale, 20_000 * scale, 1);
  const warm: NativeLife = nativeLife();
  const residentBefore = await residentBytes(workers);
  const done = await work(200_000 * scale, 20_000 * scale, 1000);
  const leaks = await settledLeaks(warm);
  const residentAfter = await residentBytes(workers);

  for (const worker of workers) {
    await ask(worker, { order: "end" });
    worker.terminate();
  }
  device.dispose();
  await settledLeaks(beforeAll);
  const leaksAtEnd = leaksBetween(beforeAll, nativeLife());
  const seconds = (performance.now() - start) / 1000;
  return { threads, ...done, leaks, leaksAtEnd, residentBefore, residentAfter, seconds };
}

if (import.meta.main) {
  console.log(JSON.stringify(await soak(Number(process.argv[2] ?? 1))));
}
