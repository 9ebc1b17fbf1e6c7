/** The asynchronous half of a queue: what is in flight, what waits for room, and the promises of both. */
import {
  type Bridge,
  BridgeError,
  type Completions,
  type Handle,
  maxInFlight,
  ReleasedError,
  ticketFailed,
} from "../ffi/index.ts";
import type { Program } from "./program.ts";

/**
 * Synchronous calls that may overtake news of a completion. The bridge remembers how the last 256 submissions ended, at
 * most 64 of which are in flight here: this many more, and it still knows about the oldest.
 */
const mostOvertaking = 128;

/** One call of `submit`, in flight or waiting. */
interface Submission {
  /** The queue. */
  readonly owner: Disposable;
  readonly program: Program;
  words: Uint32Array | null;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
  /** Told when it has settled, either way. */
  readonly watchers: (() => void)[];
  next: Submission | undefined;
}

/**
 * Hands submissions to the bridge in order, at most `maxInFlight` at a time, and settles their promises as the
 * bridge tells of completions. It never refers to its queue except while work is in flight, so that a forgotten queue
 * can be collected: what tells of completions refers to this object.
 */
export class Submissions {
  readonly #bridge: Bridge;
  readonly #completions: Completions;
  readonly #inFlight = new Map<number, Submission>();
  #queue: Handle = 0;
  /** First and last of those that wait for room. */
  #first: Submission | undefined;
  #last: Submission | undefined;
  /** Completions that have yet to be told of. */
  #expected = 0;
  /** Synchronous calls since those in flight were last waited for. */
  #overtaking = 0;
  #keepAlive: Disposable | undefined;
  #released = false;
  /** At the end of this thread's JavaScript: releasing the queue makes sure that no native thread calls into it later. */
  readonly #exitAction = (): void => this.#keepAlive?.[Symbol.dispose]();

  constructor(bridge: Bridge) {
    this.#bridge = bridge;
    this.#completions = bridge.completions((value) => this.#completed(value));
  }

  /** What to give to bm_queue_new. */
  get callback(): number | null {
    return this.#completions.callback;
  }

  /** Sets the queue that submissions go to. Once, before any. */
  attach(queue: Handle): void {
    this.#queue = queue;
  }

  /** Whether there are submissions that the bridge does not have yet. */
  get isWaiting(): boolean {
    return this.#first !== undefined;
  }

  /** See `Queue.submit`. `owner`, the queue, is kept from being collected until all is done. */
  submit(owner: Disposable, program: Program, words: Uint32Array | null): Promise<void> {
    return new Promise((resolve, reject) => {
      const submission: Submission = {
        owner,
        program,
        words,
        resolve,
        reject,
        watchers: [],
        next: undefined,
      };
      const hasRoom = this.#first === undefined && this.#inFlight.size < maxInFlight;
      if (hasRoom && this.#start(submission)) return;
      // The bridge copies the words at the call, which is later now: the caller may change them until then.
      submission.words = words?.slice() ?? null;
      this.#enqueue(submission);
    });
  }

  /** Resolves when all that was submitted before has settled. Never rejects. */
  idle(): Promise<void> {
    const last = this.#last ?? [...this.#inFlight.values()].at(-1);
    if (last === undefined) return Promise.resolve();
    return new Promise((resolve) => last.watchers.push(resolve));
  }

  /** Hands all that waits to the bridge, blocking for room, so that a synchronous call may follow in order. */
  flush(): void {
    if (this.#inFlight.size > 0 && ++this.#overtaking > mostOvertaking) {
      for (const ticket of [...this.#inFlight.keys()]) this.#waitFor(ticket);
      this.#overtaking = 0;
    }
    while (this.#first !== undefined) {
      this.#pump();
      if (this.#first === undefined) return;
      const oldest = this.#inFlight.keys().next();
      if (oldest.done) return;
      this.#waitFor(oldest.value);
    }
  }

  /**
   * Ends it: what waits is rejected with a `ReleasedError`, what is in flight is waited for and settles as it turns
   * out. The native queue may be released afterwards.
   */
  settle(label: string): void {
    for (let waiting = this.#first; waiting !== undefined; waiting = waiting.next) {
      settle(waiting, new ReleasedError(`Cannot submit a program: ${label} was disposed while it waited`));
    }
    this.#first = undefined;
    this.#last = undefined;
    for (const ticket of [...this.#inFlight.keys()]) this.#waitFor(ticket);
  }

  /** The native queue is released: nothing more completes. What is on its way to be told of still arrives. */
  released(): void {
    this.#released = true;
    if (this.#expected === 0) this.#completions.close();
  }

  #enqueue(submission: Submission): void {
    if (this.#last === undefined) this.#first = submission;
    else this.#last.next = submission;
    this.#last = submission;
  }

  /** Hands one to the bridge. False where the bridge has no room, and it has to wait. */
  #start(submission: Submission): boolean {
    const { program, words } = submission;
    try {
      const { symbols } = this.#bridge;
      const ticket = symbols.bm_program_submit(this.#queue, program.handle, words, words?.length ?? 0);
      if (ticket === 0) {
        const error = this.#bridge.failure(`Cannot submit ${program.label}`);
        if (error.code === "busy" && this.#inFlight.size > 0) return false;
        throw error;
      }
      this.#inFlight.set(ticket, submission);
      submission.words = null;
      this.#completions.expect(this.#queue, ticket);
      if (this.#expected++ === 0) this.#hold(submission.owner);
    } catch (error) {
      settle(submission, error instanceof Error ? error : new Error(String(error)));
    }
    return true;
  }

  #pump(): void {
    while (this.#first !== undefined && this.#inFlight.size < maxInFlight) {
      const next = this.#first;
      if (!this.#start(next)) return;
      this.#first = next.next;
      if (this.#first === undefined) this.#last = undefined;
    }
  }

  /** The bridge tells of a completion, on a turn of the event loop. */
  #completed(value: number): void {
    const ticket = (value & ~ticketFailed) >>> 0;
    // Gone where somebody has waited for it already.
    if (this.#inFlight.has(ticket)) {
      if ((value & ticketFailed) === 0) this.#settleAs(ticket, undefined);
      else this.#waitFor(ticket);
    }
    this.#expected--;
    if (!this.#released) this.#pump();
    if (this.#expected > 0) return;
    this.#letGo();
    // Not from within the call itself.
    if (this.#released) setImmediate(() => this.#completions.close());
  }

  /** Waits for a submission (which may be over) and settles it with its status. */
  #waitFor(ticket: number): void {
    if (this.#bridge.symbols.bm_queue_wait(this.#queue, ticket) === 0) {
      this.#settleAs(ticket, undefined);
      return;
    }
    const error = this.#bridge.failure(`Cannot complete ${this.#inFlight.get(ticket)?.program.label}`);
    // "range": the bridge remembers only so many submissions, and this one failed longer ago.
    this.#settleAs(ticket, error.code === "range" ? new BridgeError("execution", error.message) : error);
  }

  #settleAs(ticket: number, error: Error | undefined): void {
    const submission = this.#inFlight.get(ticket);
    if (submission === undefined) return;
    this.#inFlight.delete(ticket);
    settle(submission, error);
  }

  #hold(owner: Disposable): void {
    this.#keepAlive = owner;
    this.#bridge.addExitAction(this.#exitAction);
  }

  #letGo(): void {
    this.#keepAlive = undefined;
    this.#bridge.removeExitAction(this.#exitAction);
  }
}

function settle(submission: Submission, error: Error | undefined): void {
  if (error === undefined) submission.resolve();
  else submission.reject(error);
  for (const watcher of submission.watchers) watcher();
}
