// Queues: order, promises, the event loop, and disposal while work is pending.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  BridgeError,
  type Buffer,
  countNativeCalls,
  Device,
  type Dispatch,
  type Library,
  ProgramBuilder,
  ReleasedError,
} from "../../src/runtime/index.ts";
import { run, scriptCommand } from "../host/process.ts";
import { addProgram, compileKernels, spinProgram, u32 } from "./kernels.ts";
import { checkLeaks } from "./leaks.ts";

let device: Device;
let library: Library;
let values: Buffer;
beforeAll(() => {
  device = Device.open();
  library = compileKernels(device);
  values = device.buffer(16);
});
afterAll(() => {
  values.dispose();
  library.dispose();
  device.dispose();
});

/** Rounds of `spin` that keep a device busy for some milliseconds. */
const aWhile = 1_000_000;

/** Stores one more than word 0 of the run. */
function storeWord(out: Buffer): Dispatch {
  return {
    pipeline: library.pipeline("copy_words"),
    buffers: [{ dynamicWords: 0 }, { buffer: out }],
    constants: { 2: u32(1) },
    threads: [1],
    threadsPerThreadgroup: [1],
  };
}

describe("Queue.submit", () => {
  test("Queue.submit() resolves when the work is done", async () => {
    using buffer = device.buffer(400);
    using program = addProgram(device, library, buffer);
    await device.queue.submit(program);
    expect(buffer.view(Float32Array)[99]).toBe(1);
    expect(device.queue.gpuSeconds).toBeGreaterThan(0);
  });

  test("Queue.submit() keeps the order, however many wait", async () => {
    using out = device.buffer(4 * 300);
    using program = new ProgramBuilder(device, { dynamicWords: 2 })
      .copy(out, 0, out, 4, 4)
      .barrier()
      .dispatch(storeWord(out))
      .build();
    const words = new Uint32Array(2);
    const order: number[] = [];
    const promises: Promise<void>[] = [];
    for (let i = 0; i < 300; i++) {
      words[0] = i; // Copied at the call: the same array serves all.
      promises.push(device.queue.submit(program, words).then(() => void order.push(i)));
    }
    await Promise.all(promises);
    expect(order).toEqual(Array.from({ length: 300 }, (_, i) => i));
    expect([...out.view(Uint32Array).subarray(0, 2)]).toEqual([300, 299]);
  });

  test("Queue.submit() runs a program as often as it is told, in order, each run with words of its own", async () => {
    using out = device.buffer(4 * 8);
    // One more than word 0 goes to the front of the buffer, and all that was there moves on by one.
    using moved = device.buffer(4 * 8);
    using program = new ProgramBuilder(device, { dynamicWords: 2 })
      .copy(out, 0, moved, 4, 28)
      .barrier()
      .dispatch(storeWord(moved))
      .barrier()
      .copy(moved, 0, out, 0, 32)
      .build();
    const { queue } = device;
    using count = countNativeCalls();
    let given = 0;
    for (const runs of [1, 3, 64, 5]) {
      // More runs than ever were in flight at once, and fewer again.
      const words = Uint32Array.from({ length: 2 * runs }, (_, i) => (i % 2 === 0 ? given + i / 2 : 9999));
      const done = queue.submit(program, words, runs);
      words.fill(0);
      await done;
      given += runs;
      const last = Array.from({ length: 8 }, (_, i) => Math.max(0, given - i));
      expect([...out.view(Uint32Array)]).toEqual(last);
    }
    expect(count.calls.get("bm_program_submit")).toBe(4);

    // More submissions than there is room for: the words of all runs are kept for those that wait.
    const words = new Uint32Array(2 * 3);
    const promises = Array.from({ length: 100 }, () => {
      for (let i = 0; i < 3; i++) words[2 * i] = given++;
      return queue.submit(program, words, 3);
    });
    await Promise.all(promises);
    expect([...out.view(Uint32Array)]).toEqual(Array.from({ length: 8 }, (_, i) => given - i));
  });

  test("Queue.submit() runs nothing at all where one of several runs cannot be", async () => {
    using counts = device.buffer(64);
    using program = new ProgramBuilder(device, { dynamicWords: 1 })
      .dispatch({
        pipeline: library.pipeline("count_groups"),
        buffers: [{ buffer: counts }],
        threadgroups: [{ word: 0, itemsPerGroup: 1 }],
        threadsPerThreadgroup: [4],
      })
      .build();
    const { queue } = device;
    const tooMany = 2 ** 32 - 1;
    for (const words of [
      [1, tooMany, 1],
      [tooMany, 1],
      [1, 1, tooMany],
    ]) {
      await expect(queue.submit(program, Uint32Array.from(words), words.length)).rejects.toThrow("over 2^32");
      await queue.submit(program, Uint32Array.of(0, 0, 0), 3);
    }
    expect([...counts.view(Uint32Array)]).toEqual(new Array(16).fill(0));
    await queue.submit(program, Uint32Array.of(2, 0, 1), 3);
    expect([...counts.view(Uint32Array).subarray(0, 3)]).toEqual([2, 1, 0]);
  });

  test("Queue.submit() refuses numbers of runs that there cannot be", async () => {
    using words = new ProgramBuilder(device, { dynamicWords: 4 }).build();
    using without = addProgram(device, library, values);
    const { queue } = device;
    for (const runs of [0, -1, 1.5, 65, Number.NaN]) {
      await expect(queue.submit(words, new Uint32Array(4), runs)).rejects.toThrow(
        `${runs} times in one submission`,
      );
    }
    await expect(queue.submit(words, new Uint32Array(8), 3)).rejects.toThrow(
      "8 dynamic words for 3 runs: it declares 4",
    );
    await expect(queue.submit(words, new Uint32Array(8))).rejects.toThrow(
      "with 8 dynamic words: it declares 4",
    );
    await expect(queue.submit(without, undefined, 2)).rejects.toThrow(
      "a program without dynamic words runs once",
    );
  });

  test("Queue.submit() is one native call, as is run()", async () => {
    using program = addProgram(device, library, values);
    const { queue } = device;
    using count = countNativeCalls();
    const promise = queue.submit(program);
    expect(Object.fromEntries(count.calls)).toEqual({ bm_program_submit: 1 });
    await promise;
    for (let i = 0; i < 10; i++) queue.run(program);
    expect(Object.fromEntries(count.calls)).toEqual({ bm_program_submit: 1, bm_program_run: 10 });
  });

  test("Queue.submit() makes no native objects that stay", async () => {
    using program = addProgram(device, library, values);
    await device.queue.submit(program);
    device.queue.run(program);
    const { objects } = Device.statistics();
    for (let i = 0; i < 100; i++) device.queue.run(program);
    expect(Device.statistics().objects).toBe(objects);
  });

  test("Queue.submit() lets the event loop turn", async () => {
    using program = spinProgram(device, library, values, 20 * aWhile);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const start = performance.now();
    await device.queue.submit(program);
    const milliseconds = performance.now() - start;
    clearInterval(timer);
    // The timer may be late on a busy machine; without turns in between there would be no tick at all.
    expect(milliseconds).toBeGreaterThan(20);
    expect(ticks).toBeGreaterThan(5);
  });

  test("Queue.run() comes after all that was submitted, waiting or not", async () => {
    using counter = device.buffer(4);
    using add = addProgram(device, library, counter);
    let settled = 0;
    const promises = Array.from({ length: 200 }, () => device.queue.submit(add).then(() => settled++));
    device.queue.run(add);
    expect(counter.view(Float32Array)[0]).toBe(201);
    expect(settled).toBe(0); // Promises are told on a later turn.
    await Promise.all(promises);
    expect(counter.view(Float32Array)[0]).toBe(201);
  });

  test("Buffer.download() comes after all that was submitted", async () => {
    using counter = device.buffer(4);
    using add = addProgram(device, library, counter);
    const promises = Array.from({ length: 150 }, () => device.queue.submit(add));
    const now = new Float32Array(1);
    counter.download(now);
    expect(now[0]).toBe(150);
    await Promise.all(promises);
  });

  test("Queue.idle() resolves when everything has settled, failures too", async () => {
    using queue = device.createQueue();
    await queue.idle();
    using program = addProgram(device, library, values);
    let settled = 0;
    const promises = Array.from({ length: 100 }, () => queue.submit(program).finally(() => settled++));
    await queue.idle();
    expect(settled).toBeGreaterThanOrEqual(99); // The last one's own reactions may run just after.
    await Promise.all(promises);
    await queue.idle();
  });

  test("Queue.submit() rejects, and never throws, for what cannot be run", async () => {
    const program = addProgram(device, library, values);
    await expect(device.queue.submit(program, new Uint32Array(3))).rejects.toThrow("3 dynamic words");
    await expect(device.queue.submit(program, [1] as unknown as Uint32Array)).rejects.toThrow(TypeError);
    program.dispose();
    await expect(device.queue.submit(program)).rejects.toThrow(ReleasedError);
    expect(() => device.queue.run(program)).toThrow(ReleasedError);
    using other = Device.open();
    const closed = other.createQueue();
    closed.dispose();
    await expect(closed.submit(program)).rejects.toThrow(ReleasedError);
  });

  test("Queue.submit() rejects what waited for room and lost its program", async () => {
    const program = addProgram(device, library, values);
    const results = Promise.allSettled(Array.from({ length: 70 }, () => device.queue.submit(program)));
    program.dispose();
    const outcomes = (await results).map(({ status }) => status);
    expect(outcomes.slice(0, 64)).toEqual(new Array(64).fill("fulfilled"));
    expect(outcomes.slice(64)).toEqual(new Array(6).fill("rejected"));
  });
});

describe("Queue.dispose", () => {
  test("Queue.dispose() waits for what is in flight and rejects what waits", async () => {
    const queue = device.createQueue();
    using program = spinProgram(device, library, values, aWhile / 10);
    const results = Promise.allSettled(Array.from({ length: 80 }, () => queue.submit(program)));
    queue.dispose();
    const outcomes = await results;
    expect(outcomes.slice(0, 64).every(({ status }) => status === "fulfilled")).toBe(true);
    for (const outcome of outcomes.slice(64)) {
      expect(outcome.status === "rejected" && outcome.reason).toBeInstanceOf(ReleasedError);
    }
    expect(() => queue.run(program)).toThrow(ReleasedError);
    await queue.idle();
  });

  test("Queue.dispose() by its device settles everything as well", async () => {
    const other = Device.open();
    const own = compileKernels(other);
    const buffer = other.buffer(16);
    const program = addProgram(other, own, buffer);
    const promise = other.queue.submit(program);
    for (const object of [program, buffer, own, other]) object.dispose();
    await promise;
  });

  test("queues come and go with work in flight, many times", async () => {
    using program = addProgram(device, library, values);
    for (let i = 0; i < 50; i++) {
      const queue = device.createQueue();
      const promises = [queue.submit(program), queue.submit(program)];
      if (i % 2 === 0) await promises[0];
      queue.dispose();
      await Promise.all(promises);
    }
  });

  test("a program may be disposed while it runs", async () => {
    const buffer = device.buffer(16);
    const program = spinProgram(device, library, buffer, aWhile);
    const promise = device.queue.submit(program);
    program.dispose();
    buffer.dispose();
    await promise;
  });
});

describe("a process", () => {
  const runtime = JSON.stringify(join(import.meta.dirname, "../../src/runtime/index.ts"));
  const collector = JSON.stringify(join(import.meta.dirname, "../host/collect.ts"));
  const kernels = JSON.stringify(join(import.meta.dirname, "kernels.ts"));
  const preamble = `
    import { Device } from ${runtime};
    import { collectGarbage } from ${collector};
    import { compileKernels, spinProgram } from ${kernels};
    const device = Device.open();
    const library = compileKernels(device);
    const values = device.buffer(16);
    const program = spinProgram(device, library, values, ${aWhile});
    globalThis.kept = [device, library, values, program];`;

  async function outputOf(script: string): Promise<{ code: number | null; output: string }> {
    const { code, stdout, stderr } = await run(scriptCommand(preamble + script));
    if (stderr !== "") console.error(stderr);
    return { code, output: stdout.trim() };
  }

  test("a process stays alive while work is in flight, and ends after it", async () => {
    const script = `for (let i = 0; i < 70; i++) device.queue.submit(program).then(() => { if (i === 69) console.log("done"); });`;
    expect(await outputOf(script)).toEqual({ code: 0, output: "done" });
  });

  test("a process may exit while work is in flight", async () => {
    const script = `for (let i = 0; i < 70; i++) device.queue.submit(program).catch(() => {}); process.exit(3);`;
    expect(await outputOf(script)).toEqual({ code: 3, output: "" });
  });

  test("a process may exit in its runtime's own way while work is in flight", async () => {
    const script = `for (let i = 0; i < 70; i++) device.queue.submit(program).catch(() => {}); (globalThis.Deno ?? process).exit(3);`;
    expect(await outputOf(script)).toEqual({ code: 3, output: "" });
  });

  test("a process lets go of what was forgotten, and says so once", async () => {
    const script = `
      const warnings = [];
      process.on("warning", (warning) => warnings.push(warning.name));
      const before = Device.liveHandles().buffer;
      (() => { for (let i = 0; i < 100; i++) device.buffer(64).bytes().fill(1); })();
      const pause = () => new Promise((resolve) => setTimeout(resolve, 2));
      for (let i = 0; i < 100 && Device.liveHandles().buffer > before + 5; i++) { collectGarbage(); await pause(); }
      await pause(); // Warnings come a tick later.
      console.log(Device.liveHandles().buffer <= before + 5, warnings.join());`;
    expect(await outputOf(script)).toEqual({ code: 0, output: "true ForgottenObjectWarning" });
  });
});

describe("errors", () => {
  test("errors of a run carry the bridge's code and message", () => {
    using other = Device.open();
    using program = addProgram(device, library, values);
    using queue = other.createQueue();
    const wrong = { handle: values.handle, wordCount: 0, label: "no program" } as typeof program;
    expect(() => queue.run(wrong)).toThrow(BridgeError);
    expect(() => queue.run(wrong)).toThrow(expect.objectContaining({ code: "handle" }));
    expect(() => queue.run(wrong)).toThrow(/^Cannot run no program: ./);
  });
});

checkLeaks();
