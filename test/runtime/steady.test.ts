// Many runs of one program, on the thread of the tests: what lives natively is the same at each quarter of the way.
import { expect, test } from "bun:test";
import { Device } from "../../src/runtime/index.ts";
import { addProgram, compileKernels, spinProgram } from "./kernels.ts";
import { checkLeaks, nativeLife, settledLeaks } from "./leaks.ts";

test("Queue.run() and Queue.submit() leave nothing behind in 20,000 runs", async () => {
  using device = Device.open();
  using library = compileKernels(device);
  using values = device.buffer(1024);
  using program = addProgram(device, library, values);
  const round = async (runs: number): Promise<void> => {
    // Nine of ten at once, the others by promise, up to a hundred at a time.
    for (let done = 0; done < runs; done += 1000) {
      for (let i = 0; i < 900; i++) device.queue.run(program);
      await Promise.all(Array.from({ length: 100 }, () => device.queue.submit(program)));
    }
  };
  await round(1000);
  // As many in flight as there can be: what a program keeps for each submission in flight is made now, and not later.
  {
    using other = device.buffer(1024);
    using spin = spinProgram(device, library, other, 1_000_000);
    const held = device.queue.submit(spin);
    const behind = Array.from({ length: 100 }, () => device.queue.submit(program));
    await Promise.all([held, ...behind]);
  }
  const before = nativeLife();
  for (let quarter = 1; quarter <= 4; quarter++) {
    await round(5000);
    expect(await settledLeaks(before), `after ${5000 * quarter} runs`).toEqual([]);
  }
  expect(values.view(Float32Array)[255]).toBe(21_100);
});

checkLeaks();
