// Where the time of a token goes on an NVIDIA GPU, by kernel, as Nsight Compute has it:
//   bun run test/bench/device/profile.ts [--model 1.1b-q8_0] [--depth 128] [--tokens 2] [--prompt 512]
//     [--directory build/bench] [--device cuda] [--ncu ncu]
// With --prompt it is the prompt that is profiled. ncu runs each kernel alone and with cold caches, so
// times are longer than within a graph, and what overlaps there is counted in full.
import { Llama } from "../../../mod.ts";
import { benchDirectory, modelFile } from "../model_files.ts";
import { chooseModel, parseOptions, refused } from "../options.ts";
import { contextFor, generate, promptOf, WARM_UP } from "./generation.ts";
import { kernelTimes, profileTable } from "./profile_rows.ts";

type ProfileTask = {
  readonly device: string;
  readonly path: string;
  readonly depth: number;
  readonly tokens: number;
  /** Undefined: tokens are generated. */
  readonly prompt: number | undefined;
};

const DURATION = "gpu__time_duration.sum";

if (import.meta.main) {
  if (process.argv[2]?.startsWith("{")) await runProfiled(JSON.parse(process.argv[2]) as ProfileTask);
  else process.exitCode = await profile().catch((error) => refused("profile", error));
}

/** Starts itself under ncu, and adds up what that says. Returns the status to exit with. */
async function profile(): Promise<number> {
  const values = parseOptions({
    options: {
      device: { type: "string", default: "cuda" },
      model: { type: "string", default: "1.1b-q8_0" },
      depth: { type: "string", default: "128" },
      tokens: { type: "string", default: "2" },
      prompt: { type: "string" },
      directory: { type: "string", default: benchDirectory },
      ncu: { type: "string", default: "ncu" },
    },
  });
  const model = chooseModel("model", values.model);
  if (Bun.which(values.ncu) === null) {
    console.error(`profile: there is no ${values.ncu}, which comes with Nsight Compute`);
    return 1;
  }
  const task: ProfileTask = {
    device: values.device,
    path: modelFile(model, values.directory.split(","), console.error),
    depth: Number(values.depth),
    tokens: Number(values.tokens),
    prompt: values.prompt === undefined ? undefined : Number(values.prompt),
  };
  const options = ["--csv", "--metrics", DURATION, "--profile-from-start", "off", "--clock-control", "none"];
  const more = ["--graph-profiling", "node", "--target-processes", "all"];
  const program = [process.execPath, "run", import.meta.filename, JSON.stringify(task)];
  const child = Bun.spawn([values.ncu, ...options, ...more, ...program], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) {
    console.error(text);
    return 1;
  }
  const what =
    task.prompt === undefined ? `${task.tokens} tokens at ${task.depth}` : `a prompt of ${task.prompt}`;
  console.log(`${model.name}, ${what}, by \`ncu --metrics ${DURATION} --clock-control none\`:\n`);
  const times = kernelTimes(text);
  console.log(
    task.prompt === undefined ? profileTable(times, task.tokens) : profileTable(times, 1, "prompt"),
  );
  return 0;
}

/** What is profiled: the driver is told when to begin and when to stop. */
async function runProfiled({ device, path, depth, tokens, prompt }: ProfileTask): Promise<void> {
  const { dlopen } = await import("bun:ffi");
  const { symbols: driver } = dlopen("libcuda.so.1", {
    cuProfilerStart: { args: [], returns: "i32" },
    cuProfilerStop: { args: [], returns: "i32" },
  });
  const contextLength = contextFor(Math.max(depth + tokens, prompt ?? 0));
  using llama = await Llama.load(path, { device, kvType: "f16", contextLength, batchSize: 512 });
  using sequence = llama.sequence();
  const text = promptOf(llama, prompt ?? depth);
  await generate(llama, sequence, text, WARM_UP);
  if (prompt !== undefined) sequence.rewind(0);
  driver.cuProfilerStart();
  // As many steps as tokens: the first one computes the prompt's last token again.
  if (prompt === undefined) await generate(llama, sequence, text, tokens);
  else for await (const _text of llama.generate(text, { sequence, maxTokens: 1, temperature: 0 }));
  await llama.device.queue.idle();
  driver.cuProfilerStop();
}
