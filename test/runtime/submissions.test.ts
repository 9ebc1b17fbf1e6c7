// The asynchronous half of a queue, against a native side that fails, is busy, or calls back late.
import { beforeEach, describe, expect, test } from "bun:test";
import { Bridge, type BridgeErrorCode, maxInFlight, type Symbols, statusNames } from "../../src/ffi/index.ts";
import { type Program, ReleasedError } from "../../src/runtime/index.ts";
import { Submissions } from "../../src/runtime/submissions.ts";

/** A native queue that does nothing until it is told how a ticket ends. */
class FakeNative {
  /** Words of each submission, in order. */
  readonly submitted: (readonly number[])[] = [];
  readonly outcomes = new Map<number, BridgeErrorCode>();
  readonly waits: number[] = [];
  /** Tickets whose completion was asked for. */
  readonly expected: number[] = [];
  room: number = maxInFlight;
  closed = 0;
  call: (value: number) => void = () => {};
  #code = 0;
  #message = "";

  readonly bridge: Bridge = new Bridge("fake", {
    symbols: {
      bm_error_code: () => this.#code,
      bm_error_message: (out: Uint8Array) => new TextEncoder().encodeInto(this.#message, out).written,
      bm_program_submit: (_queue: number, _program: number, words: Uint32Array | null) => {
        if (this.room === 0) return this.#fail("busy", "no room") * 0;
        this.room--;
        this.submitted.push([...(words ?? [])]);
        return this.submitted.length;
      },
      bm_queue_wait: (_queue: number, ticket: number) => {
        this.waits.push(ticket);
        const outcome = this.outcomes.get(ticket);
        return outcome === undefined ? 0 : this.#fail(outcome, `ticket ${ticket} met its end`);
      },
    } as unknown as Symbols,
    completions: (listener) => {
      this.call = listener;
      return {
        callback: 1,
        expect: (_queue, ticket) => this.expected.push(ticket),
        close: () => this.closed++,
      };
    },
    viewOf: () => new ArrayBuffer(0),
    addressOf: () => 0,
  });

  /** What the bridge does when a submission is over. */
  complete(ticket: number, outcome?: BridgeErrorCode): void {
    this.room++;
    if (outcome !== undefined) this.outcomes.set(ticket, outcome);
    this.call((ticket | (outcome === undefined ? 0 : 0x80000000)) >>> 0);
  }

  #fail(code: BridgeErrorCode, message: string): number {
    this.#code = statusNames.indexOf(code);
    this.#message = message;
    return this.#code;
  }
}

const program = { handle: 7, label: 'program "fake"' } as Program;
const owner = { [Symbol.dispose]: () => {} };

let native: FakeNative;
let submissions: Submissions;
beforeEach(() => {
  native = new FakeNative();
  submissions = new Submissions(native.bridge);
  submissions.attach(1);
});

/** Submits with one word, and keeps how it ended. */
function submit(word: number): Promise<string> {
  return submissions.submit(owner, program, Uint32Array.of(word)).then(
    () => "done",
    (error: Error) => `${error.name}: ${error.message}`,
  );
}

describe("Submissions", () => {
  test("Submissions.submit() rejects with the bridge's code and message, and goes on", async () => {
    const [first, second] = [submit(1), submit(2)];
    native.complete(1, "execution");
    native.complete(2);
    expect(await first).toBe('BridgeError: Cannot complete program "fake": ticket 1 met its end');
    expect(await second).toBe("done");
    expect(native.waits).toEqual([1]);
  });

  test("Submissions.submit() says execution where the bridge has forgotten how it failed", async () => {
    const promise = submissions.submit(owner, program, null);
    native.complete(1, "range");
    await expect(promise).rejects.toMatchObject({ code: "execution" });
  });

  test("Submissions.submit() has at most 64 in flight, and keeps the order", async () => {
    const order: number[] = [];
    const promises = Array.from({ length: 150 }, (_, i) => submit(i).then(() => order.push(i)));
    expect(native.submitted).toHaveLength(maxInFlight);
    expect(submissions.isWaiting).toBe(true);
    for (let ticket = 1; ticket <= 150; ticket++) {
      native.complete(ticket);
      expect(native.submitted).toHaveLength(Math.min(150, maxInFlight + ticket));
    }
    await Promise.all(promises);
    expect(native.submitted.flat()).toEqual(Array.from({ length: 150 }, (_, i) => i));
    expect(order).toEqual(native.submitted.flat());
    expect(submissions.isWaiting).toBe(false);
  });

  test("Submissions.submit() waits where the bridge is busy before it should be", async () => {
    native.room = 1;
    const promises = [submit(1), submit(2), submit(3)];
    expect(native.submitted).toEqual([[1]]);
    native.complete(1);
    native.complete(2);
    native.complete(3);
    expect(await Promise.all(promises)).toEqual(["done", "done", "done"]);
    expect(native.submitted).toEqual([[1], [2], [3]]);
  });

  test("Submissions.submit() rejects where the bridge is busy with others' work only", async () => {
    native.room = 0;
    expect(await submit(1)).toBe('BridgeError: Cannot submit program "fake": no room');
    expect(submissions.isWaiting).toBe(false);
  });

  test("Submissions.flush() hands over all that waits, and settles what it waited for once", async () => {
    const promises = Array.from({ length: 70 }, (_, i) => submit(i));
    native.outcomes.set(2, "execution");
    native.room = 100; // As it would be after waiting.
    submissions.flush();
    expect(native.submitted).toHaveLength(70);
    expect(native.waits).toEqual([1, 2, 3, 4, 5, 6]);
    for (let ticket = 1; ticket <= 70; ticket++) native.complete(ticket, native.outcomes.get(ticket));
    const results = await Promise.all(promises);
    expect(results.map((result, i) => (result === "done" ? -1 : i)).filter((i) => i >= 0)).toEqual([1]);
  });

  test("Submissions.flush() asks how a submission ended before the bridge forgets it", async () => {
    const first = submit(1);
    for (let i = 0; i < 128; i++) submissions.flush();
    expect(native.waits).toEqual([]);
    submissions.flush();
    expect(native.waits).toEqual([1]);
    expect(await first).toBe("done");
    native.complete(1);
    expect(native.expected).toEqual([1]);
  });

  test("Submissions.settle() ends everything, and the callback closes when the last call has arrived", async () => {
    const promises = Array.from({ length: 66 }, (_, i) => submit(i));
    const idle = submissions.idle();
    submissions.settle("queue of mine");
    submissions.released();
    const results = await Promise.all(promises);
    expect(results.slice(0, 64)).toEqual(new Array(64).fill("done"));
    expect(results[64]).toBe(
      `${new ReleasedError().name}: Cannot submit a program: queue of mine was disposed while it waited`,
    );
    await idle;
    for (let ticket = 1; ticket < 64; ticket++) native.complete(ticket);
    await new Promise(setImmediate);
    expect(native.closed).toBe(0);
    native.complete(64);
    expect(native.closed).toBe(0); // Not from within the call.
    await new Promise(setImmediate);
    expect(native.closed).toBe(1);
    expect(native.submitted).toHaveLength(64);
  });

  test("Submissions.released() closes the callback at once where no call is expected", () => {
    submissions.released();
    expect(native.closed).toBe(1);
  });

  test("Submissions.idle() resolves after the last of those before it, failed or not", async () => {
    let settled = false;
    const promises = [submit(1), submit(2)];
    const idle = submissions.idle().then(() => {
      settled = true;
    });
    promises.push(submit(3));
    native.complete(1);
    await promises[0];
    expect(settled).toBe(false);
    native.complete(2, "execution");
    await idle;
    native.complete(3);
    await Promise.all(promises);
  });
});
