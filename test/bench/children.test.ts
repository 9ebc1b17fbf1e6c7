// The processes of a run: what they say is read, what fails is told, and none is left behind.
import { expect, test } from "bun:test";
import { ChildError, Children, Interrupted } from "./children.ts";

const LONG_SECONDS = 60;
const program = (code: string): string[] => [process.execPath, "-e", code];
const endless = program("console.log(process.pid); setInterval(() => {}, 1000)");

test("the last line is what a process says", async () => {
  await using children = new Children();
  const said = await children.run("it", program('console.log("noise\\n{\\"x\\":1}")'), LONG_SECONDS);
  expect(said).toEqual({ x: 1 });
});

test("lines but the last are told of as they come", async () => {
  await using children = new Children();
  const lines: string[] = [];
  const code = "console.log('one\\ntwo'); setTimeout(() => console.log('{}'), 50)";
  expect(await children.run("it", program(code), LONG_SECONDS, {}, (line) => lines.push(line))).toEqual({});
  expect(lines).toEqual(["one", "two"]);
});

test("a process that says nothing has failed", async () => {
  await using children = new Children();
  await expect(children.run("it", program("console.log('done')"), LONG_SECONDS)).rejects.toThrow(
    'its last line is no JSON: "done"',
  );
});

test("variables are given besides those that are there", async () => {
  await using children = new Children();
  const code = "console.log(JSON.stringify([process.env.BENCH_TEST, typeof process.env.PATH]))";
  expect(await children.run("it", program(code), LONG_SECONDS, { BENCH_TEST: "7" })).toEqual(["7", "string"]);
});

test("a process that fails says why", async () => {
  await using children = new Children();
  const failing = children.run("it", program('console.error("no luck"); process.exit(3)'), LONG_SECONDS);
  const error = await failing.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ChildError);
  expect(String(error)).toMatch(/it ended with status 3\nno luck/);
});

test("one that takes too long is ended", async () => {
  await using children = new Children();
  await expect(children.run("it", endless, 0.2)).rejects.toThrow("it took longer than 0 s and was ended");
});

test("an interruption ends what runs, and nothing starts after it", async () => {
  await using children = new Children();
  const running = children.run("it", endless, LONG_SECONDS);
  children.interrupt();
  await expect(running).rejects.toBeInstanceOf(Interrupted);
  expect(() => children.start(endless)).toThrow(Interrupted);
  await expect(children.run("it", endless, LONG_SECONDS)).rejects.toBeInstanceOf(Interrupted);
});

test("a process beside the others ends when it is disposed of", async () => {
  await using children = new Children();
  const beside = children.start(endless);
  await beside[Symbol.asyncDispose]();
  children.check();
});

test("a process that is asked answers line by line, until it ends", async () => {
  await using children = new Children();
  const code = `require("node:readline").createInterface({ input: process.stdin })
    .on("line", (line) => (line === "end" ? process.exit(3) : console.log(line + "!")))`;
  await using it = children.converse("it", program(code), {});
  expect(await it.ask("one", LONG_SECONDS)).toBe("one!");
  expect(await it.ask("two", LONG_SECONDS)).toBe("two!");
  await expect(it.ask("end", LONG_SECONDS)).rejects.toThrow("it ended with status 3 before it answered");
});

test("one that does not answer is ended", async () => {
  await using children = new Children();
  await using it = children.converse("it", program("process.stdin.resume()"), {});
  await expect(it.ask("one", 0.3)).rejects.toThrow("it ended with SIGKILL before it answered");
});
