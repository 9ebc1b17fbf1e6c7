/** The work of the stress test that every thread does: buffers come and go, with dispatches in between. */
import {
  type Buffer,
  BufferPool,
  type Device,
  type Program,
  ProgramBuilder,
} from "../../src/runtime/index.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";

/** Floats in the smallest buffer that the dispatches work on. */
const floats = 64;

/** A program that doubles the first floats of a buffer: out = x + x, in place. */
export function doublingProgram(device: Device, values: Buffer): Program {
  return new ProgramBuilder(device)
    .dispatch({
      pipeline: device.shaders().pipeline("add_f32"),
      buffers: [{ buffer: values }, { buffer: values }, { buffer: values }],
      constants: { 3: Uint32Array.of(floats) },
      threadgroups: [1],
      threadsPerThreadgroup: [256],
    })
    .build();
}

/** Runs the program on fresh values, and looks whether it did what it should. */
function verify(device: Device, values: Buffer, round: number): void {
  using program = doublingProgram(device, values);
  values.view(Float32Array, 0, floats).fill(round);
  device.queue.run(program);
  const wrong = values.view(Float32Array, 0, floats).findIndex((x) => x !== 2 * round);
  if (wrong >= 0) throw new Error(`Round ${round}: element ${wrong} of ${values.label} is wrong`);
}

/**
 * Creates and releases buffers: half of them through a pool, up to 40 alive at a time, of 256 bytes to 16 KiB, touching
 * each; every hundredth is uploaded to and worked on by a program made for it.
 */
export function churn(device: Device, creations: number, seed: number): void {
  const random = mulberry32(seed);
  using pool = new BufferPool(device, { maxIdleBytes: 2 ** 20 });
  const alive: Buffer[] = [];
  for (let round = 1; round <= creations; round++) {
    const byteLength = 256 * (1 + randomInteger(random, 64));
    const buffer = random() < 0.5 ? pool.acquire(byteLength) : device.buffer(byteLength);
    if (round % 100 === 0) {
      buffer.upload(new Uint8Array(100), randomInteger(random, 100));
      verify(device, buffer, round);
    } else if (round % 4 === 0) buffer.bytes(byteLength - 1)[0] = 1;
    alive.push(buffer);
    if (alive.length >= 40 || random() < 0.4)
      alive.splice(randomInteger(random, alive.length), 1)[0].dispose();
  }
  for (const buffer of alive) buffer.dispose();
}

/** Makes `count` buffers, touches all, then releases all. Returns how many were alive at once. */
export function crowd(device: Device, count: number): number {
  const buffers = Array.from({ length: count }, () => device.buffer(4096));
  for (const [i, buffer] of buffers.entries()) buffer.bytes()[i % 4096] = 1;
  verify(device, buffers[count - 1], 1);
  for (const buffer of buffers) buffer.dispose();
  return buffers.length;
}

/** Runs a program `count` times: a quarter synchronously, the rest submitted in bursts of up to 500, far over 64. */
export async function runs(device: Device, count: number): Promise<number> {
  using values = device.buffer(4 * floats);
  using program = doublingProgram(device, values);
  let done = 0;
  while (done < count) {
    const burst = Math.min(500, count - done);
    const submitted = Math.floor(burst * 0.75);
    const promises: Promise<void>[] = [];
    for (let i = 0; i < submitted; i++) promises.push(device.queue.submit(program));
    // Comes after all that was submitted, also what still waits for room.
    if (done % 1000 === 0) device.queue.run(program);
    await Promise.all(promises);
    for (let i = submitted + (done % 1000 === 0 ? 1 : 0); i < burst; i++) device.queue.run(program);
    done += burst;
  }
  return done;
}
