/** What a token costs the host: the processor time of JavaScript's thread, and what of it goes into submitting a step. */
import type { Queue } from "../../../mod.ts";
import type { HostTime } from "./task.ts";

/**
 * Measures while `generate` generates, from its first token on, which the host chooses of all logits.
 *
 * @param generate Calls `onFirst` once, and returns how many tokens it has.
 */
export async function measureHost(
  queue: Queue,
  generate: (onFirst: () => void) => Promise<number>,
): Promise<HostTime> {
  let submitting = 0;
  const submit = queue.submit.bind(queue);
  queue.submit = (...given) => {
    const start = performance.now();
    const done = submit(...given);
    submitting += performance.now() - start;
    return done;
  };
  const read = () => ({
    thread: process.threadCpuUsage(),
    process: process.cpuUsage(),
    wall: performance.now(),
    submitting,
  });
  try {
    let start = read();
    const tokens = await generate(() => {
      start = read();
    });
    const end = read();
    const each = 1 / (tokens - 1);
    const { user, system } = process.cpuUsage(start.process);
    const thread = process.threadCpuUsage(start.thread);
    return {
      thread: (thread.user + thread.system) * each,
      submission: 1e3 * (end.submitting - start.submitting) * each,
      process: (user + system) * each,
      wall: 1e3 * (end.wall - start.wall) * each,
    };
  } finally {
    Reflect.deleteProperty(queue, "submit"); // the class's own is behind it
  }
}
